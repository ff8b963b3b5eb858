import os
import struct
import tracemalloc
from pathlib import Path

import av
import librosa
import numpy as np
import pytest
import soundfile
import soxr

from mgr_cli import audio, config, decoders, files
from mgr_cli.errors import AudioError
from tests import audio_files

RATE = 22_050
# 24-bit WAV is the source of most tests: its rounding is 2⁻²³ of full scale.
EXACT = 2.0**-23


def message(path: Path) -> str:
    """Load a file that must be refused; return why, after checking that it is one line."""
    with pytest.raises(AudioError) as caught:
        audio.load(path, sample_rate=RATE)
    text = str(caught.value)
    assert text.isprintable()
    assert text.startswith(f"{audio.shown(path)}: ")
    return text.removeprefix(f"{audio.shown(path)}: ")


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    """25 s of stereo at 22,050 Hz: three blocks."""
    samples = audio_files.tones(25, RATE)
    return audio_files.write(tmp_path / "whole.wav", samples, RATE, subtype="PCM_24")


# What comes out


def test_channels_are_averaged(tmp_path: Path) -> None:
    # 0.5 and 0.25 and 0 in turn: the average is 0.25 throughout.
    samples = np.tile(np.array([0.5, 0.25, 0.0], np.float32), (RATE, 1))
    path = audio_files.write(tmp_path / "three.wav", samples, RATE, subtype="FLOAT")
    np.testing.assert_array_equal(audio.load(path, sample_rate=RATE), np.full(RATE, 0.25, "f4"))


def test_full_scale_integers_reach_minus_one(tmp_path: Path) -> None:
    samples = np.tile(np.array([-32768, 16384], np.int16), RATE)[:, None]
    path = audio_files.write(tmp_path / "loud.wav", samples, RATE, subtype="PCM_16")
    np.testing.assert_array_equal(audio.load(path, sample_rate=RATE)[:2], [-1.0, 0.5])


def test_native_rate_leaves_samples_alone(wav: Path) -> None:
    loaded = audio.load(wav, sample_rate=RATE)
    expected = audio_files.tones(25, RATE).mean(axis=1)
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(loaded, expected, rtol=0, atol=EXACT)


@pytest.mark.parametrize("wanted", [16_000, 44_100, 22_051])
def test_blockwise_resampling_equals_the_whole_at_once(wav: Path, wanted: int) -> None:
    native, _ = soundfile.read(wav, dtype="float32")
    at_once = soxr.resample((native[:, 0] + native[:, 1]) / 2, RATE, wanted)
    # soxr gives the same bits either way here; 1e-6 leaves room for other builds of it.
    np.testing.assert_allclose(audio.load(wav, sample_rate=wanted), at_once, rtol=0, atol=1e-6)


@pytest.mark.parametrize("wanted", [16_000, RATE])
def test_load_is_the_stream_joined(wav: Path, wanted: int) -> None:
    with audio.open_stream(wav, sample_rate=wanted) as stream:
        blocks = list(stream)
    np.testing.assert_array_equal(np.concatenate(blocks), audio.load(wav, sample_rate=wanted))
    assert len(blocks) >= 3
    assert all(len(block) for block in blocks)
    assert stream.n_samples == 25 * wanted
    assert stream.seconds == 25.0


def test_no_block_is_a_view_of_another(wav: Path) -> None:
    with audio.open_stream(wav, sample_rate=RATE) as stream:
        first = next(stream)
        before = first.copy()
        list(stream)
    np.testing.assert_array_equal(first, before)


def test_closed_stream_gives_no_more(wav: Path) -> None:
    with audio.open_stream(wav, sample_rate=RATE) as stream:
        next(stream)
    assert list(stream) == []
    assert stream.n_samples == 10 * RATE


def test_impossible_rate_is_the_callers_mistake(wav: Path) -> None:
    with pytest.raises(ValueError, match="sample_rate is 0 Hz"):
        audio.open_stream(wav, sample_rate=0)


# Formats


@pytest.mark.parametrize(
    ("suffix", "options", "codec"),
    [
        ("wav", {"subtype": "PCM_16"}, "WAV PCM_16"),
        ("wav", {"subtype": "PCM_U8"}, "WAV PCM_U8"),
        ("flac", {"subtype": "PCM_24"}, "FLAC PCM_24"),
        ("aiff", {"subtype": "PCM_16"}, "AIFF PCM_16"),
        ("au", {"subtype": "FLOAT"}, "AU FLOAT"),
        ("caf", {"subtype": "PCM_16"}, "CAF PCM_16"),
        ("ogg", {"subtype": "VORBIS"}, "OGG VORBIS"),
        ("mp3", {"format": "MP3"}, "MP3"),
    ],
)
def test_libsndfile_reads(tmp_path: Path, suffix: str, options: dict[str, str], codec: str) -> None:
    samples = audio_files.tones(2, RATE)
    path = audio_files.write(tmp_path / f"a.{suffix}", samples, RATE, **options)
    with audio.open_stream(path, sample_rate=RATE) as stream:
        loaded = np.concatenate(list(stream))
    expected = audio.AudioInfo(RATE, 2, codec, 2.0, stream.info.decoder)
    assert stream.info == expected
    assert stream.info.decoder.startswith("libsndfile 1.")
    assert files.find(tmp_path, audio.SUFFIXES) == [path]
    # An MP3 is as loud as its source and in step with it; 8 bits and lossy codecs add noise.
    assert np.corrcoef(loaded, samples.mean(axis=1))[0, 1] > 0.99
    assert loaded.std() == pytest.approx(samples.mean(axis=1).std(), rel=0.02)


@pytest.mark.parametrize(
    ("suffix", "container", "codec", "name"),
    [
        ("m4a", "ipod", "aac", "aac"),
        ("wma", "asf", "wmav2", "wmav2"),
        ("mka", "matroska", "pcm_u8", "pcm_u8"),
        ("mka", "matroska", "pcm_s16le", "pcm_s16le"),
        ("m4a", "ipod", "alac", "alac"),
    ],
)
def test_ffmpeg_reads_what_libsndfile_cannot(
    tmp_path: Path, suffix: str, container: str, codec: str, name: str
) -> None:
    samples = audio_files.tones(12, RATE)
    path = audio_files.encode(
        tmp_path / f"a.{suffix}", samples, RATE, codec=codec, container=container
    )
    with audio.open_stream(path, sample_rate=RATE) as stream:
        loaded = np.concatenate(list(stream))
    assert (stream.info.sample_rate, stream.info.channels, stream.info.codec) == (RATE, 2, name)
    assert stream.info.seconds == pytest.approx(12, abs=audio.SLACK_SECONDS)
    assert stream.info.decoder.startswith("FFmpeg libavcodec ")
    assert files.find(tmp_path, audio.SUFFIXES) == [path]
    expected = samples.mean(axis=1)
    n = min(len(loaded), len(expected))
    assert n >= len(expected) - 1024  # FFmpeg's WMA encoder drops its last frame
    pair = np.stack([loaded[:n], expected[:n]])
    if codec == "wmav2":  # it does not announce its delay: only spectra can be compared
        pair = np.abs(np.fft.rfft(pair))
    assert np.corrcoef(pair)[0, 1] > 0.99  # lossy codecs add noise
    assert loaded.std() == pytest.approx(expected.std(), rel=0.02)
    assert loaded.mean() == pytest.approx(0, abs=0.01)


def test_lossless_codec_through_ffmpeg_is_exact(tmp_path: Path) -> None:
    samples = audio_files.tones(2, RATE, n_channels=1)
    path = audio_files.encode(
        tmp_path / "a.mka", samples, RATE, codec="pcm_f32le", container="matroska"
    )
    np.testing.assert_array_equal(audio.load(path, sample_rate=RATE), samples[:, 0])


def test_mp3_without_length_header_is_read_to_its_end(tmp_path: Path) -> None:
    # Variable bit rate, first loud and then silent: libsndfile would take the first frames
    # for typical, and stop early.
    samples = audio_files.tones(30, 44_100)
    samples[5 * 44_100 : -44_100] = 0
    path = audio_files.encode(
        tmp_path / "a.mp3",
        samples,
        44_100,
        codec="libmp3lame",
        container="mp3",
        options={"write_xing": "0", "qscale": "4", "flags": "+qscale"},
    )
    with audio.open_stream(path, sample_rate=44_100) as stream:
        loaded = np.concatenate(list(stream))
    assert stream.info.seconds is None
    assert stream.seconds == pytest.approx(30, abs=audio.SLACK_SECONDS)
    assert np.abs(loaded[-44_100 // 2 :]).max() > 0.2


@pytest.mark.parametrize("size", [0, 0x7FFF_F000, 0xFFFF_FFFF])
def test_wav_written_to_a_pipe_is_whole(tmp_path: Path, wav: Path, size: int) -> None:
    data = bytearray(wav.read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", size)
    path = tmp_path / "piped.wav"
    path.write_bytes(data)
    np.testing.assert_allclose(
        audio.load(path, sample_rate=RATE), audio.load(wav, sample_rate=RATE), rtol=0, atol=EXACT
    )


def test_flac_of_unknown_length_is_whole(tmp_path: Path) -> None:
    samples = audio_files.tones(12, RATE)
    whole = audio_files.write(tmp_path / "whole.flac", samples, RATE, subtype="PCM_16")
    data = bytearray(whole.read_bytes())
    data[21] &= 0xF0  # STREAMINFO's 36-bit count of samples ends at byte 26
    data[22:26] = bytes(4)
    path = tmp_path / "streamed.flac"
    path.write_bytes(data)
    np.testing.assert_array_equal(
        audio.load(path, sample_rate=RATE), audio.load(whole, sample_rate=RATE)
    )


def test_suffix_does_not_decide(tmp_path: Path, wav: Path) -> None:
    for name in ["a.mp3", "a.raw", "a", "a.m3u8"]:
        renamed = tmp_path / name
        renamed.write_bytes(wav.read_bytes())
        assert len(audio.load(renamed, sample_rate=RATE)) == 25 * RATE


# Real recordings


@pytest.mark.parametrize(
    "pattern", ["emotify/*/09?.mp3", "fma/*/*.mp3", "cc/*.ogg", "gtzan/*/*.wav"]
)
def test_real_recordings_are_as_librosa_reads_them(shared: Path, pattern: str) -> None:
    paths = sorted((shared / "audio").glob(pattern))[:12]
    assert paths
    for path in paths:
        expected, rate = librosa.load(path, sr=None)
        loaded = audio.load(path, sample_rate=int(rate))
        assert len(loaded) == len(expected)
        # Both decode with libsndfile; averages of float32 may differ in the last bit.
        np.testing.assert_allclose(loaded, expected, rtol=0, atol=1e-6)


def test_every_real_recording_loads(shared: Path) -> None:
    paths = files.find(shared / "audio", audio.SUFFIXES)
    assert len(paths) >= 355
    for path in paths:
        with audio.open_stream(path, sample_rate=16_000) as stream:
            for _ in stream:
                pass
        assert stream.info.seconds == pytest.approx(stream.seconds, abs=1e-3)


# What is refused


def test_missing_file(tmp_path: Path) -> None:
    assert message(tmp_path / "no.mp3") == "no such file; check the path"
    assert message(tmp_path / "zero\0byte.mp3").startswith("cannot be opened")


def test_folder(tmp_path: Path) -> None:
    assert message(tmp_path).startswith("a folder where an audio file was expected")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert message(tmp_path / "pipe.wav").startswith("a pipe or device")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_pipe_that_takes_the_files_place_is_refused_without_waiting(
    wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swapped(path: str, flags: int) -> int:
        wav.unlink()
        os.mkfifo(wav)
        return opened(path, flags)

    opened = audio._open_at_once
    monkeypatch.setattr(audio, "_open_at_once", swapped)
    assert message(wav).startswith("a pipe or device")


def test_links_that_lead_nowhere_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.wav").symlink_to(tmp_path / "a.wav")
    assert message(tmp_path / "a.wav").startswith("cannot be opened (Too many levels")
    (tmp_path / "b.wav").symlink_to(tmp_path / "gone.wav")
    assert message(tmp_path / "b.wav") == "no such file; check the path"


def test_unreadable_file(wav: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:  # file modes mean nothing to root
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert message(wav) == "cannot be opened (Permission denied); check its permissions"


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.mp3").touch()
    assert message(tmp_path / "empty.mp3").startswith("empty (0 bytes)")


def test_header_without_samples(tmp_path: Path) -> None:
    path = audio_files.write(tmp_path / "bare.wav", np.zeros((0, 2)), RATE)
    assert "holds no samples" in message(path)


@pytest.mark.parametrize("suffix", ["mp3", "wav", "aac", "txt"])
@pytest.mark.parametrize(
    "content",
    [
        b"not music\n" * 500,
        np.random.default_rng(0).bytes(300_000),
        b"\xff\xfb" + np.random.default_rng(1).bytes(100_000),  # begins like an MP3
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89",
    ],
    ids=["text", "noise", "sync", "picture"],
)
def test_what_is_not_audio(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(content)
    assert message(path).startswith("not readable as audio (libsndfile: ")


def test_video_without_sound(tmp_path: Path) -> None:
    path = audio_files.encode_silent_video(tmp_path / "film.mp4")
    assert message(path).startswith("holds no audio stream, only video")


@pytest.mark.parametrize("lock", ["format_whitelist", "protocol_whitelist"])
def test_playlists_cannot_open_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lock: str
) -> None:
    # Either lock alone holds.
    monkeypatch.setattr(decoders, "_CONFINED", {lock: decoders._CONFINED[lock]})
    samples = audio_files.tones(2, RATE)
    song = audio_files.encode(tmp_path / "a.aac", samples, RATE, codec="aac", container="adts")
    lists = {
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{song}\n#EXT-X-ENDLIST\n",
        "a.concat": f"ffconcat version 1.0\nfile '{song.name}'\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with av.open(str(tmp_path / name)) as unguarded:  # the attack is real
            assert next(unguarded.decode(audio=0)).samples
        assert message(tmp_path / name).startswith("not readable as audio")
        disguised = tmp_path / "song.mp3"
        disguised.write_text(text)
        assert message(disguised).startswith("not readable as audio")


@pytest.mark.parametrize("share", [0.33, 0.97])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("wav", {"subtype": "PCM_16"}),
        ("wav", {"subtype": "FLOAT"}),
        ("aiff", {"subtype": "PCM_16"}),
        ("au", {"subtype": "PCM_16"}),
        ("w64", {"subtype": "PCM_16"}),
        ("rf64", {"subtype": "PCM_16"}),
        ("mp3", {"format": "MP3"}),
        ("ogg", {"subtype": "VORBIS"}),
        ("ogg", {"subtype": "OPUS"}),
    ],
)
def test_cut_file_is_truncated(
    tmp_path: Path, suffix: str, options: dict[str, str], share: float
) -> None:
    samples = audio_files.tones(12, 48_000)
    whole = audio_files.write(tmp_path / f"whole.{suffix}", samples, 48_000, **options)
    assert len(audio.load(whole, sample_rate=48_000)) == len(samples)
    assert message(audio_files.cut(whole, share, tmp_path / "cut")).startswith("truncated: ")


def test_truncation_says_how_much_is_there(tmp_path: Path, wav: Path) -> None:
    text = message(audio_files.cut(wav, 0.4, tmp_path / "cut.wav"))
    assert text == "truncated: 10.0 s of 25.0 s announced; fetch the file again"


def test_cut_real_mp3_is_truncated(tmp_path: Path, shared: Path) -> None:
    whole = next((shared / "audio/fma").rglob("*.mp3"))
    assert message(audio_files.cut(whole, 0.33, tmp_path / "a.mp3")).startswith("truncated: ")


@pytest.mark.parametrize("share", [0.002, 0.33, 0.97])
def test_cut_flac_is_damaged(tmp_path: Path, share: float) -> None:
    whole = audio_files.write(tmp_path / "a.flac", audio_files.tones(12, RATE), RATE)
    text = message(audio_files.cut(whole, share, tmp_path / "cut.flac"))
    assert text.startswith("damaged: decoding failed after ")
    assert "of 12.0 s (libsndfile: " in text


def test_cut_caf_is_refused(tmp_path: Path) -> None:
    whole = audio_files.write(tmp_path / "a.caf", audio_files.tones(2, RATE), RATE)
    assert "not readable" in message(audio_files.cut(whole, 0.5, tmp_path / "cut.caf"))


@pytest.mark.parametrize(
    ("container", "codec", "options", "expected"),
    [
        ("ipod", "aac", {}, "not readable as audio"),  # its index, at the end, is lost
        ("ipod", "aac", {"movflags": "faststart"}, "damaged: decoding failed after 6.0 s of 12.0"),
        ("matroska", "aac", {}, "truncated: "),
        ("asf", "wmav2", {}, "damaged: decoding failed after 5.9 s"),
    ],
)
def test_cut_container_is_refused(
    tmp_path: Path, container: str, codec: str, options: dict[str, str], expected: str
) -> None:
    whole = audio_files.encode(
        tmp_path / "whole",
        audio_files.tones(12, RATE),
        RATE,
        codec=codec,
        container=container,
        options=options,
    )
    assert message(audio_files.cut(whole, 0.5, tmp_path / "cut")).startswith(expected)


def test_silence_is_told_at_the_end(tmp_path: Path) -> None:
    path = audio_files.write(tmp_path / "a.wav", np.zeros((25 * RATE, 2)), RATE)
    assert message(path).startswith("silent: ")
    with audio.open_stream(path, sample_rate=RATE) as stream:
        assert len(next(stream)) == 10 * RATE


def test_quietest_16_bit_sound_is_not_silence(tmp_path: Path) -> None:
    samples = np.zeros((RATE, 1), np.int16)
    samples[100] = 1
    path = audio_files.write(tmp_path / "a.wav", samples, RATE)
    assert audio.load(path, sample_rate=RATE).max() == 2.0**-15


def test_opposed_channels_are_silent(tmp_path: Path) -> None:
    left = audio_files.tones(1, RATE, n_channels=1)
    path = audio_files.write(tmp_path / "a.wav", np.hstack([left, -left]), RATE, subtype="FLOAT")
    assert message(path).startswith("silent: its channels' average")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.filterwarnings("error")
def test_impossible_samples(tmp_path: Path, value: float) -> None:
    samples = audio_files.tones(1, RATE)
    samples[-1] = value
    path = audio_files.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    assert message(path).startswith("holds samples that are not finite, or beyond 2**31")


@pytest.mark.filterwarnings("error")
def test_doubles_beyond_float32_are_found(tmp_path: Path) -> None:
    # FFmpeg encodes from float32: one sample is then written over in the file.
    samples = audio_files.tones(1, RATE, n_channels=1)
    samples[100] = 0.123
    path = audio_files.encode(
        tmp_path / "a.mka", samples, RATE, codec="pcm_f64le", container="matroska"
    )
    data = path.read_bytes().replace(struct.pack("<d", samples[100, 0]), struct.pack("<d", 1e300))
    path.write_bytes(data)
    assert message(path).startswith("holds samples that are not finite, or beyond 2**31")


@pytest.mark.filterwarnings("error")
def test_infinities_that_cancel_are_found(tmp_path: Path) -> None:
    samples = audio_files.tones(1, RATE)
    samples[5] = np.inf, -np.inf
    path = audio_files.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    assert message(path).startswith("holds samples that are not finite")


def test_shortest_track(tmp_path: Path) -> None:
    n_samples = round(config.MIN_SECONDS * RATE)
    samples = audio_files.tones(1, RATE)
    path = audio_files.write(tmp_path / "a.wav", samples[:n_samples], RATE)
    assert len(audio.load(path, sample_rate=RATE)) == n_samples
    path = audio_files.write(tmp_path / "b.wav", samples[: n_samples - 1], RATE)
    assert message(path) == "0.100 s long, expected 0.1 s at least; name a longer track"


def test_long_track_is_refused_by_its_header(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "MAX_SECONDS", 2 * 3600.0)
    path = tmp_path / "a.wav"
    write_sparse_wav(path, seconds=3 * 3600, sample_rate=1_000)
    with pytest.raises(AudioError, match=r"3\.0 h long, expected 2 h at the most"):
        audio.open_stream(path, sample_rate=RATE)


def test_long_track_is_refused_where_no_header_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio, "MAX_SECONDS", 15.0)
    path = audio_files.encode(
        tmp_path / "a.aac", audio_files.tones(22, RATE), RATE, codec="aac", container="adts"
    )
    with audio.open_stream(path, sample_rate=RATE) as stream:
        next(stream)
        with pytest.raises(AudioError, match="long, expected"):
            list(stream)


def test_too_many_channels(tmp_path: Path) -> None:
    samples = np.full((RATE, config.MAX_CHANNELS + 1), 0.5)
    path = audio_files.write(tmp_path / "a.wav", samples, RATE)
    assert message(path).startswith("announces 65 channels, expected 1 to 64")
    path = audio_files.write(tmp_path / "b.wav", samples[:, :-1], RATE)
    assert len(audio.load(path, sample_rate=RATE)) == RATE


@pytest.mark.parametrize("rate", [999, 768_001])
def test_absurd_sample_rate(tmp_path: Path, rate: int) -> None:
    path = audio_files.write(tmp_path / "a.wav", np.full((10_000, 1), 0.5), rate)
    assert message(path).startswith(f"announces a sample rate of {rate} Hz, expected 1000 to")


def test_name_of_any_bytes_is_one_printable_line(tmp_path: Path) -> None:
    assert audio.shown(Path("a\nb\x1b[31m\udcff é 音.mp3")) == r"a\nb\x1b[31m\udcff é 音.mp3"
    text = message(tmp_path / "a\nb\udcff.mp3")
    assert text.encode("utf-8")


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_undecodable_name_can_be_opened(tmp_path: Path, wav: Path) -> None:
    for whole in [
        wav,
        audio_files.encode(
            tmp_path / "a.m4a", audio_files.tones(1, RATE), RATE, codec="aac", container="ipod"
        ),
    ]:
        path = tmp_path / "\udcff\n.wav"
        path.write_bytes(whole.read_bytes())
        assert len(audio.load(path, sample_rate=RATE)) >= RATE


# Limits


def test_file_of_a_terabyte_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # libsndfile would look through all of an Ogg for its last page.
    path = audio_files.write(tmp_path / "a.ogg", audio_files.tones(1, RATE), RATE)
    monkeypatch.setattr(decoders, "decode", None)
    os.truncate(path, 2**40)
    assert message(path) == "1100 GB large, expected 69 GB at the most; cut it into tracks"


def test_header_with_more_samples_than_a_day_of_stereo_is_refused(tmp_path: Path) -> None:
    # 64 channels at 768,000 Hz for six minutes: 1.77e10 samples, 2³⁴ being 1.72e10.
    path = audio_files.write(tmp_path / "a.wav", np.full((8, 64), 0.5), 768_000, format="RF64")
    data = bytearray(path.read_bytes())
    size = 360 * 768_000 * 64 * 2
    at = data.index(b"ds64") + 8
    data[at : at + 24] = struct.pack("<3Q", len(data) + size, size, size // 128)
    path.write_bytes(data)
    os.truncate(path, len(data) - 8 * 128 + size)
    with pytest.raises(AudioError, match=r"64 channels at 768000 Hz are 1\.8e\+10 samples"):
        audio.open_stream(path, sample_rate=RATE)


def test_a_day_of_stereo_at_48_khz_is_within_the_limits() -> None:
    n_values = config.MAX_SECONDS * 48_000 * 2
    assert n_values <= config.MAX_AUDIO_VALUES
    assert n_values * 8 <= config.MAX_AUDIO_BYTES  # as 64-bit floats


def test_too_many_samples_are_refused_where_no_header_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = audio_files.encode(
        tmp_path / "a.aac", audio_files.tones(22, RATE), RATE, codec="aac", container="adts"
    )
    monkeypatch.setattr(audio, "MAX_AUDIO_VALUES", 2 * 15 * RATE)
    with audio.open_stream(path, sample_rate=RATE) as stream:
        next(stream)
        with pytest.raises(AudioError, match="too large: "):
            list(stream)


def test_samples_that_pyav_has_no_array_for_are_refused(tmp_path: Path) -> None:
    path = audio_files.encode(
        tmp_path / "a.wav", audio_files.tones(1, RATE), RATE, codec="pcm_s64le", container="wav"
    )
    assert "FFmpeg: gives samples as s64" in message(path)


@pytest.mark.parametrize(
    ("suffix", "codec", "container"), [("aac", "aac", "adts"), ("mka", "pcm_s16le", "matroska")]
)
def test_file_that_grows_ends_where_it_ended_when_it_was_opened(
    tmp_path: Path, suffix: str, codec: str, container: str
) -> None:
    samples = audio_files.tones(22, RATE)
    path = audio_files.encode(
        tmp_path / f"a.{suffix}", samples, RATE, codec=codec, container=container
    )
    whole = audio.load(path, sample_rate=RATE)
    with audio.open_stream(path, sample_rate=RATE) as stream:
        with path.open("ab") as file:
            file.write(path.read_bytes() * 3)
        grown = np.concatenate(list(stream))
    np.testing.assert_array_equal(grown, whole)


# Memory


def write_sparse_wav(path: Path, *, seconds: int, sample_rate: int) -> None:
    """Write 16-bit mono: one loud sample and then a hole that takes no room on the disk."""
    size = 2 * seconds * sample_rate
    audio_files.write(path, np.full((1, 1), 0.5), sample_rate, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[4:8] = struct.pack("<I", 36 + size)
    data[40:44] = struct.pack("<I", size)
    path.write_bytes(data)
    os.truncate(path, 44 + size)


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    write_sparse_wav(path, seconds=3 * 3600, sample_rate=8_000)  # 346 MB as float32
    tracemalloc.start()
    try:
        with audio.open_stream(path, sample_rate=16_000) as stream:
            for _ in stream:
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stream.n_samples == 3 * 3600 * 16_000
    # Ten seconds are 0.3 MB at 8 kHz and 0.6 MB at 16 kHz; a few of them live at once.
    assert peak < 8e6


@pytest.mark.parametrize(("channels", "rate"), [(64, 768_000), (1, 768_000), (2, 44_100)])
def test_blocks_are_bounded_whatever_the_header_says(channels: int, rate: int) -> None:
    info = audio.AudioInfo(rate, channels, "x", None, "x")
    n_frames = decoders.block_frames(info)
    assert 1 <= n_frames * channels <= decoders.BLOCK_VALUES
    assert n_frames <= decoders.BLOCK_SECONDS * rate
