from pathlib import Path

import pytest

from mgr_cli.tags import names
from mgr_cli.tags.tag import TagError

CLASSES = ("hiphop", "rnb", "rock", "old_time music", "Soul-RnB", "drum and bass")


def test_names_are_those_of_the_list_of_id3_or_the_class_itself() -> None:
    assert names.default(CLASSES).of == {
        "hiphop": ("Hip-Hop",), "rnb": ("R&B",), "rock": ("Rock",),
        "old_time music": ("Old Time Music",), "Soul-RnB": ("Soul-RnB",),
        "drum and bass": ("Drum & Bass",),
    }  # fmt: skip


def test_a_file_goes_before_the_list(tmp_path: Path) -> None:
    path = tmp_path / "names.yaml"
    path.write_text("hiphop: Hip-Hop/Rap\nrock: [Rock, Alternative]\n")
    found = names.read(path, CLASSES)
    assert found.of["hiphop"] == ("Hip-Hop/Rap",)
    assert found.of["rock"] == ("Rock", "Alternative")
    assert found.of["rnb"] == ("R&B",)
    assert found.meant(["hip hop  rap"]) == {"hiphop"}
    assert found.meant(["Hip-Hop", "Rap"]) == {"hiphop"}
    assert found.meant(["alternative"]) == {"rock"}
    path.write_text("hiphop: Urban/Beats\n")
    assert names.read(path, CLASSES).meant(["Urban", "Beats"]) == {"hiphop"}
    assert names.read(path, CLASSES).meant(["Beats"]) == set()


@pytest.mark.parametrize(
    ("tag", "classes"),
    [
        (["HIP HOP"], {"hiphop"}),
        (["R'n'B"], {"rnb"}),
        (["Rock; R&B"], {"rock", "rnb"}),
        (["Drum'n'Bass"], {"drum and bass"}),
        (["Röck"], {"rock"}),
        (["Polka", "Rock"], {"rock"}),
        (["Polka"], set()),
        (["–"], set()),
    ],
)
def test_a_tag_means_the_classes_of_all_its_values(tag: list[str], classes: set[str]) -> None:
    assert names.default(CLASSES).meant(tag) == classes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("jazz: Jazz", "no genre 'jazz', it has hiphop, rnb"),
        ("- hiphop", "expected lines such as"),
        ("", "expected lines such as"),
        ("hiphop: [", "not YAML"),
        ("hiphop: 17", "expected a name or a list"),
        ("hiphop: []", "expected a name or a list"),
        ("hiphop: '(17)'", "expected a name or a list"),
        ("hiphop: !!python/object/apply:os.system [ls]", "not YAML"),
        ("hiphop: " + "x" * 2**20, "larger than"),
    ],
)
def test_a_file_that_cannot_be_used_gets_one_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "names.yaml"
    path.write_text(text)
    with pytest.raises(TagError, match=said) as caught:
        names.read(path, CLASSES)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 2_000


@pytest.mark.parametrize("name", ["80", "(x", "CR", "g" * 1_001])
def test_a_class_that_is_no_genre_needs_another_name(tmp_path: Path, name: str) -> None:
    found = names.default(["rock", name])
    with pytest.raises(TagError, match="--genre-names") as caught:
        found.check()
    assert len(str(caught.value)) < 500
    path = tmp_path / "names.yaml"
    path.write_text(f"'{name}': Eighties\n")
    names.read(path, ["rock", name]).check()
