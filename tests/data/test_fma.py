"""The shared tables are real, but lack 20 of the 25,000 tracks of FMA-medium.

They are the clips of FMA's errata that hold no audio or are cut short (21, six of them in
small), of which only 108924 was kept.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from mgr_cli.config import FEATURES
from mgr_cli.data import fma, fma_tables
from mgr_cli.data.sources import Level, RawTrack, Scan, Wishes
from mgr_cli.errors import DatasetError
from mgr_cli.plans import Plan

GENRES = """\
genre_id,#tracks,parent,title,top_level
12,5,0,Rock,12
17,5,0,Folk,17
25,5,12,Punk,12
31,5,12,Metal,12
85,5,25,Garage,12
"""
HEADS = (
    ",album,album,artist,artist,set,set,track,track,track\n"
    ",id,title,id,name,split,subset,genre_top,genres,title\n"
    "track_id,,,,,,,,,\n"
)
ROWS = (
    "2,7,An Album,9,NA,training,small,Rock,[12],A Title\n",
    '3,8,,4,,validation,medium,Rock,"[25, 85]","Two\nLines"\n',
    '1200,8,,4,,test,large,,"[17, 31]",\n',
    '155320,8,,4,,test,large,,"[85, 31]",\n',
)


def lay_out(
    folder: Path,
    *,
    rows: tuple[str, ...] = ROWS,
    heads: str = HEADS,
    genres: str = GENRES,
    audio: tuple[str, ...] = ("000002", "000003", "001200", "155320"),
    name: str = "fma_large",
) -> Path:
    tables = folder / "fma_metadata"
    tables.mkdir()
    (tables / "tracks.csv").write_text(heads + "".join(rows))
    (tables / "genres.csv").write_text(genres)
    root = folder / name
    root.mkdir()
    for number in audio:
        path = root / number[:3] / f"{number}.mp3"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return root


def with_genres(folder: Path, cell: str, *, level: Level = "top", top: str = "") -> RawTrack:
    row = f'2,7,,9,,training,small,{top},"{cell}",\n'
    return fma.scan(lay_out(folder, rows=(row,)), Wishes(level=level)).tracks[0]


@pytest.fixture(scope="module")
def tables(shared: Path) -> Path:
    return shared / "data/fma_small_metadata"


@pytest.fixture(scope="module")
def medium(shared: Path, tables: Path) -> Scan:
    return fma.scan(shared / "audio/fma", Wishes(metadata=tables, subset="medium"))


@pytest.fixture(scope="module")
def small(shared: Path, tables: Path) -> Scan:
    return fma.scan(shared / "audio/fma", Wishes(metadata=tables, subset="small"))


def test_small_is_8_genres_of_1000_without_its_six_bad_clips(small: Scan) -> None:
    genres = Counter(track.genre for track in small.tracks)
    full = dict.fromkeys(("Folk", "Instrumental", "International", "Pop"), 1000)
    missing = {"Electronic": 999, "Experimental": 999, "Rock": 999, "Hip-Hop": 997}
    assert genres == full | missing
    # The paper's 6,400, and all six of the errata are training clips.
    assert Counter(t.split for t in small.tracks) == {"train": 6394, "valid": 800, "test": 800}


def test_medium_is_25000_without_the_20_bad_clips_that_the_tables_lack(medium: Scan) -> None:
    splits = Counter(track.split for track in medium.tracks)
    assert splits == {"train": 19_922 - 18, "valid": 2_505 - 1, "test": 2_573 - 1}
    genres = Counter(track.genre for track in medium.tracks)
    assert len(genres) == 16
    assert genres["Rock"] == 7_103 - 5
    assert genres["Easy Listening"] == 21


def test_small_is_part_of_medium(small: Scan, medium: Scan) -> None:
    assert set(small.tracks) < set(medium.tracks)


def test_real_genre_top_is_the_common_root_of_the_real_genres(tables: Path, medium: Scan) -> None:
    genres = fma_tables.read_genres(tables / "genres.csv")
    by_title = {genre.title: genre for genre in genres.values()}
    assert len(by_title) == 163
    for track in medium.tracks:
        roots = {genres[by_title[title].root].title for title in track.genres.split("|")}
        assert roots == {track.genre}


def test_root_of_every_real_genre_is_the_top_level_of_the_table(tables: Path) -> None:
    genres = fma_tables.read_genres(tables / "genres.csv")
    rows = [line.split(",") for line in (tables / "genres.csv").read_text().splitlines()[1:]]
    assert {row[0]: row[-1] for row in rows} == {key: genre.root for key, genre in genres.items()}


def test_real_tree_leads_from_every_genre_to_its_root(tables: Path) -> None:
    tree = fma_tables.read_tree(tables / "genres.csv")
    assert tree.line("Post-Punk") == ("Post-Punk", "Punk", "Rock")
    assert len(tree.lines) == 163
    assert max(map(len, tree.lines.values())) == 5
    assert sum(len(line) == 1 for line in tree.lines.values()) == 16


def test_tree_of_two_genres_of_one_title_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "genres.csv"
    table.write_text("genre_id,parent,title\n1,0,Rock\n2,1,Punk\n3,0,Punk\n")
    with pytest.raises(DatasetError, match=r"genres\.csv: two genres have one title"):
        fma_tables.read_tree(table)


def test_table_of_genres_is_found_beside_the_clips(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    assert fma.genre_table(root) == tmp_path / "fma_metadata/genres.csv"
    assert fma.genre_table(tmp_path / "else" / "where") is None


def test_real_tracks_with_one_lowest_genre_have_a_sub_genre(shared: Path, tables: Path) -> None:
    wishes = Wishes(metadata=tables, subset="small", level="sub", own_split=False)
    tracks = fma.scan(shared / "audio/fma", wishes).tracks
    assert sum(bool(track.genre) for track in tracks) == 6127
    assert {track.split for track in tracks} == {None}


def test_real_clips_are_listed_with_their_genres(shared: Path, tables: Path) -> None:
    scan = fma.scan(shared / "audio/fma", Wishes(metadata=tables))
    hip_hop, rock = (2, 3, 5, 676), (182, 255, 256, 368, 459, 574, 690)
    genres = dict.fromkeys(hip_hop, "Hip-Hop") | dict.fromkeys(rock, "Rock")
    assert {int(track.track_id): track.genre for track in scan.tracks} == genres
    assert [track.track_id for track in scan.tracks] == sorted(f"{key:06d}" for key in genres)
    assert Counter(track.split for track in scan.tracks) == {"train": 8, "valid": 2, "test": 1}
    assert all((shared / "audio/fma" / track.path).is_file() for track in scan.tracks)
    assert not any(track.problem for track in scan.tracks)
    assert scan.plan == Plan(spec=FEATURES)


def test_real_tree_fits_and_its_clip_is_read(shared: Path) -> None:
    assert fma.fits(shared / "audio/fma")
    assert not fma.fits(shared / "audio/gtzan")
    read = fma.read(shared / "audio/fma/000/000002.mp3", Plan())
    assert read.seconds == pytest.approx(30, abs=0.1)  # mp3 frames of 26 ms, and their padding
    assert read.sample_rate == 44_100


def test_errata_are_flagged_whether_or_not_the_file_is_there(medium: Scan) -> None:
    flagged = {track.track_id: track for track in medium.tracks if "FMA errata" in track.problem}
    assert sorted(flagged) == ["107535", "108924", "110736", "119979", "130169"]
    assert flagged["108924"].problem == "cut off long before 30 s, says the FMA errata list"
    assert len(fma.ERRATA) == 6 + 15 + 4


def test_tracks_without_a_file_are_missing_once_a_subset_is_wished(small: Scan) -> None:
    missing = [track for track in small.tracks if track.problem.startswith("missing")]
    assert len(missing) == 7_994 - 10 - 3  # ten clips are here, three are in the errata
    assert missing[0].problem == "missing: there is no 000/000010.mp3"


def test_official_columns_become_artist_album_and_title(tmp_path: Path) -> None:
    first, second, *_ = fma.scan(lay_out(tmp_path), Wishes()).tracks
    assert first == RawTrack(
        "000002", "000/000002.mp3", "Rock", "train", "Rock", "NA", "An Album", "A Title"
    )
    assert (second.artist, second.album, second.title) == ("4", "8", "Two\nLines")
    assert second.genres == "Punk|Garage"


def test_abridged_tables_leave_artist_album_and_title_empty(medium: Scan) -> None:
    assert {(t.artist, t.album, t.title) for t in medium.tracks} == {("", "", "")}


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("fma_small", ["000002"]),
        ("fma_medium", ["000002", "000003"]),
        ("fma_large", ["000002", "000003", "001200", "155320"]),
        ("fma_full", ["000002", "000003", "001200", "155320"]),
        ("music", ["000003"]),
    ],
)
def test_folder_name_says_the_subset_else_only_what_is_there(
    tmp_path: Path, name: str, ids: list[str]
) -> None:
    root = lay_out(tmp_path, name=name, audio=("000003",))
    assert [track.track_id for track in fma.scan(root, Wishes()).tracks] == ids


def test_wished_subset_outranks_the_folder_name(tmp_path: Path) -> None:
    scan = fma.scan(lay_out(tmp_path), Wishes(subset="small"))
    assert [track.track_id for track in scan.tracks] == ["000002"]


def test_folder_above_the_tree_is_understood(tmp_path: Path) -> None:
    lay_out(tmp_path, name="fma_medium")
    assert fma.fits(tmp_path)
    tracks = fma.scan(tmp_path, Wishes()).tracks
    assert [track.path for track in tracks] == [
        "fma_medium/000/000002.mp3",
        "fma_medium/000/000003.mp3",
    ]


def test_folder_above_two_trees_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, name="fma_medium")
    (tmp_path / "fma_small").mkdir()
    with pytest.raises(DatasetError, match="holds several sets, fma_small, fma_medium; name one"):
        fma.scan(tmp_path, Wishes())


def test_folder_of_other_mp3_does_not_fit(tmp_path: Path) -> None:
    root = lay_out(tmp_path, audio=())
    (root / "000").mkdir()
    for name in ("001002.mp3", "2.mp3", "000002.wav", "000002.mp3.part"):
        (root / "000" / name).touch()
    assert not fma.fits(root)
    assert not fma.fits(tmp_path)


def test_top_genre_is_the_common_root_where_the_table_gives_none(tmp_path: Path) -> None:
    tracks = fma.scan(lay_out(tmp_path), Wishes()).tracks
    assert (tracks[3].genre, tracks[3].problem) == ("Rock", "")
    assert (tracks[2].genre, tracks[2].problem) == (
        "",
        "its genres have several parents: Folk, Rock",
    )


@pytest.mark.parametrize(
    ("cell", "genre", "problem"),
    [
        ("[12]", "Rock", ""),
        ("[12, 25, 85]", "Garage", ""),
        ("[85,12]", "Garage", ""),
        ("[31, 31]", "Metal", ""),
        ("[25, 31]", "", "its genres have several sub-genres: Punk, Metal"),
        ("[]", "", "it has no genre"),
    ],
)
def test_sub_genre_is_the_only_one_that_is_nobodys_ancestor(
    tmp_path: Path, cell: str, genre: str, problem: str
) -> None:
    track = with_genres(tmp_path, cell, level="sub", top="Rock")
    assert (track.genre, track.problem) == (genre, problem)


@pytest.mark.parametrize(
    "cell",
    [
        *("", "12", "[12", "[-1]", "[1.5]", "[12,]", "[٣]", "[[12]]", "[1e3]", "[1234567]"),
        *("__import__('os')", "[" + "12, " * 500 + "12]", "[" * 5_000),
    ],
)
def test_list_that_is_none_is_a_problem_of_its_track_alone(tmp_path: Path, cell: str) -> None:
    track = with_genres(tmp_path, cell)
    assert (track.genre, track.genres) == ("", "")
    assert track.problem == "its genres are no list of ids like [21, 5]"


def test_unknown_genre_is_a_problem_of_its_track_alone(tmp_path: Path) -> None:
    track = with_genres(tmp_path, "[12, 99]")
    assert (track.genre, track.genres) == ("", "Rock")
    assert track.problem == "its genre 99 is not in genres.csv"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("12,5,0,", "12,5,85,", "its own ancestor"),
        ("12,5,0,", "12,5,12,", "genre 12 is its own ancestor"),
        ("12,5,0,", "12,5,77,", "genre 12 has the unknown parent 77"),
        ("12,5,0,", "12,5,x,", "genre '12' with parent 'x'"),
        ("12,5,0,Rock,12", "12", "genre '12' with parent None"),
        ("parent", "above", "no column 'parent'"),
        (GENRES, "genre_id,parent,title\n", "0 genres, expected 1 to 1000"),
        ("Folk", "\udcff", "cannot be read"),
    ],
)
def test_malformed_genres_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    root = lay_out(tmp_path)
    table = tmp_path / "fma_metadata/genres.csv"
    table.write_text(GENRES.replace(old, new, 1), errors="surrogateescape")
    with pytest.raises(DatasetError, match=rf"genres\.csv: .*{message}"):
        fma.scan(root, Wishes())


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("subset", "part", r"no column \('set', 'subset'\) in its first two rows"),
        ("genre_top", "genre", r"no column \('track', 'genre_top'\)"),
        ("track_id,,,,,,,,,\n", "", "'track_id' does not open the third row"),
        (HEADS, "", "'track_id' does not open the third row"),
        ("\n2,", "\n../2,", r"track_id '\.\./2', expected a number"),
        ("training", "practice", "track 2: 'practice', expected training, validation, test"),
        ("small", "tiny", "track 2: 'tiny', expected small, medium, large, full"),
        ("A Title", "\udcff", "cannot be read"),
    ],
)
def test_table_that_is_not_the_official_one_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    root = lay_out(tmp_path)
    table = tmp_path / "fma_metadata/tracks.csv"
    whole = HEADS + "".join(ROWS)
    table.write_text(whole.replace(old, new, 1), errors="surrogateescape")
    with pytest.raises(DatasetError, match=rf"tracks\.csv: .*{message}"):
        fma.scan(root, Wishes())


def test_missing_metadata_says_where_it_was_looked_for(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    (tmp_path / "fma_metadata/genres.csv").unlink()
    with pytest.raises(DatasetError, match="name the unpacked fma_metadata with --metadata") as hit:
        fma.scan(root, Wishes())
    for place in (root, root / "fma_metadata", tmp_path / "fma_metadata"):
        assert f"{place}" in str(hit.value)


def test_wished_metadata_is_the_only_place(tmp_path: Path) -> None:
    root = lay_out(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    with pytest.raises(DatasetError, match=f"looked in {elsewhere};"):
        fma.scan(root, Wishes(metadata=elsewhere))
    (tmp_path / "fma_metadata").rename(elsewhere)
    assert len(fma.scan(root, Wishes(metadata=elsewhere)).tracks) == 4


def test_tree_with_no_listed_track_is_refused(tmp_path: Path) -> None:
    root = lay_out(tmp_path, audio=("000777",), name="music")
    with pytest.raises(DatasetError, match="no track of any subset; found 1 files"):
        fma.scan(root, Wishes())
    lay_out(tmp_path / "fma_metadata", rows=ROWS[1:], name="fma_small")
    with pytest.raises(DatasetError, match="no track of small"):
        fma.scan(tmp_path / "fma_metadata/fma_small", Wishes())


def test_wished_front_end_and_split_are_heeded(tmp_path: Path) -> None:
    spec = replace(FEATURES, n_mels=64)
    scan = fma.scan(lay_out(tmp_path), Wishes(spec=spec, own_split=False))
    assert scan.plan.spec == spec
    assert {track.split for track in scan.tracks} == {None}
