"""Photos and clips as strangers make them; the oracles are the pixels that the tests put in."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import subprocess
import sys
import time
import zlib
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from worldreel.errors import MediaError
from worldreel.video import Video, foreign, reader
from worldreel.video.foreign import measure, read_clip, read_photo
from worldreel.video.reader import at_rate

QUADRANTS = ((220, 40, 40), (40, 200, 60), (40, 60, 220), (240, 220, 60))
"""Colours at top left, top right, bottom left, bottom right."""


def quarters(width: int = 80, height: int = 48) -> Image.Image:
    """Four colours, so that no turn and no mirror looks like another."""
    image = Image.new("RGB", (width, height))
    for i, colour in enumerate(QUADRANTS):
        image.paste(
            colour,
            (i % 2 * width // 2, i // 2 * height // 2, width - (1 - i % 2) * width // 2, height),
        )
    return image


def corners(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The colours in the middle of the four quadrants, [4, 3]."""
    h, w = pixels.shape[:2]
    return pixels[[h // 4, h // 4, -h // 4, -h // 4], [w // 4, -w // 4, w // 4, -w // 4]]


def photo(path: Path, *, limit: int | None = 1080) -> NDArray[np.uint8]:
    return read_photo(path, limit=limit).to_numpy()[0]


def ramp(count: int = 60, width: int = 64, height: int = 48) -> torch.Tensor:
    """Frame i is grey 4·i."""
    grey = torch.arange(count, dtype=torch.uint8) * 4
    return grey[:, None, None, None].expand(count, height, width, 3).contiguous()


def film(path: Path, frames: torch.Tensor, codec: str, pix_fmt: str, **how: object) -> Path:
    """Writes a film as another program would; with sound if asked for."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=how.get("rate", 24))  # type: ignore[call-overload]
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pix_fmt
        stream.bit_rate = 4_000_000
        sound = container.add_stream("aac", rate=44100) if how.get("sound") else None
        for pixels in frames.numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        if sound is not None:
            for i in range(130):  # 3 seconds
                silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp")
                silence.sample_rate, silence.pts = 44100, 1024 * i
                container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
    return path


@pytest.fixture
def near(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader in this process: a tenth of a second instead of half of one."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        out = io.StringIO()
        with monkeypatch.context() as patch, contextlib.redirect_stdout(out):
            patch.setattr(sys, "argv", command[:-1])
            patch.setattr(reader, "_set_limits", lambda: None)
            patch.setattr(Image, "MAX_IMAGE_PIXELS", None)
            reader.main()
        return subprocess.CompletedProcess(command, 0, out.getvalue())

    monkeypatch.setattr(foreign.subprocess, "run", run)


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stand_upright(tmp_path: Path, orientation: int) -> None:
    """The table of the EXIF standard, by hand: what a viewer must undo."""
    stored = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, 1),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: lambda p: np.rot90(p, -1),
    }[orientation](np.asarray(quarters()))
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=95)
    pixels = photo(path)
    assert pixels.shape == (48, 80, 3)
    assert np.abs(corners(pixels).astype(int) - QUADRANTS).max() < 12
    media = measure(path)
    assert (media.width, media.height, media.seconds) == (80, 48, 0)


@pytest.mark.usefixtures("near")
def test_formats_of_pictures(tmp_path: Path) -> None:
    base = quarters()
    palette = base.quantize(8)
    saved = {
        "a.png": base, "p.png": palette, "a.gif": palette, "a.bmp": base, "a.tif": base,
        "a.webp": base, "a.jp2": base, "a.ppm": base, "a.tga": base, "a.qoi": base,
        "cmyk.jpg": base.convert("CMYK"),
        "wrong.jpg.mp4": base,
    }  # fmt: skip
    for name, image in saved.items():
        path = tmp_path / name
        image.save(path, format="PNG" if name.endswith("mp4") else None)
        found = corners(photo(path)).astype(int)
        assert np.abs(found - QUADRANTS).max() < 12, name
    grey = base.convert("L")
    grey.save(tmp_path / "l.png")
    expected = np.asarray(grey)[..., None].repeat(3, -1)
    assert np.array_equal(photo(tmp_path / "l.png"), expected)
    deep = np.asarray(grey).astype(np.uint16) * 257
    Image.fromarray(deep).save(tmp_path / "16.png")
    assert np.array_equal(photo(tmp_path / "16.png"), expected)
    Image.fromarray(np.asarray(grey).astype(np.float32) / 255).save(tmp_path / "f.tif")
    assert np.abs(photo(tmp_path / "f.tif").astype(int) - expected).max() <= 1
    Image.fromarray(np.asarray(grey) > 128).save(tmp_path / "1.png")
    assert set(np.unique(photo(tmp_path / "1.png"))) == {0, 255}


@pytest.mark.usefixtures("near")
def test_transparency_shows_the_backdrop(tmp_path: Path) -> None:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[:, 20:] = (200, 100, 0, 255)
    rgba[20:, 20:, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "a.png")
    for backdrop, white in (("white", 255), ("black", 0)):
        pixels = read_photo(tmp_path / "a.png", backdrop=backdrop).to_numpy()[0]
        half = np.array([200, 100, 0]) * 128 / 255 + white * 127 / 255
        assert (pixels[:, :20] == white).all() and (pixels[10, 30] == (200, 100, 0)).all()
        assert np.abs(pixels[30, 30] - half).max() <= 1


@pytest.mark.usefixtures("near")
def test_profiles_are_turned_into_srgb(tmp_path: Path) -> None:
    """In a profile whose primaries are swapped, red is what we call green."""
    lab = ImageCms.createProfile("LAB")
    profile = ImageCms.ImageCmsProfile(lab).tobytes()
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "odd.png", icc_profile=profile)
    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "bad.png", icc_profile=b"junk" * 50)
    for name in ("odd.png", "bad.png"):  # profiles that do not fit the pixels are passed over
        assert (photo(tmp_path / name) == (200, 30, 30)).all()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    linear = bytearray(srgb.tobytes())
    at = linear.index(b"para")  # the curve that all three channels share: gamma 1 instead
    size = struct.unpack(">H", linear[at + 8 : at + 10])[0]
    assert size in (3, 4)
    linear[at + 8 : at + 10] = b"\0\0"
    linear[at + 12 : at + 16] = struct.pack(">i", 65536)
    text = linear.find("sRGB".encode("utf-16-be"))
    linear[text : text + 8] = "flat".encode("utf-16-be")
    Image.new("RGB", (64, 64), (100, 100, 100)).save(tmp_path / "l.png", icc_profile=bytes(linear))
    light = 100 / 255
    expected = 255 * (1.055 * light ** (1 / 2.4) - 0.055)  # the curve of sRGB
    assert photo(tmp_path / "l.png")[0, 0] == pytest.approx(expected, abs=2)


@pytest.mark.usefixtures("near")
def test_large_photos_are_reduced(tmp_path: Path) -> None:
    quarters(3000, 2000).save(tmp_path / "a.jpg")
    quarters(3000, 2000).save(tmp_path / "a.png")
    for name in ("a.jpg", "a.png"):
        pixels = photo(tmp_path / name)
        assert pixels.shape == (1080, 1620, 3)
        assert np.abs(corners(pixels).astype(int) - QUADRANTS).max() < 8
        assert photo(tmp_path / name, limit=None).shape == (2000, 3000, 3)
        assert (measure(tmp_path / name).width, measure(tmp_path / name).height) == (3000, 2000)


CODECS = [
    ("a.mp4", "libx264", "yuv420p"),
    ("a.mov", "prores_ks", "yuv422p10le"),
    ("a.avi", "mpeg4", "yuv420p"),
    ("a.webm", "libvpx-vp9", "yuv420p"),
    ("a.mkv", "ffv1", "yuv444p"),
    ("a.mpg", "mpeg2video", "yuv420p"),
    ("a.ts", "libx264", "yuv420p"),
    ("mj.avi", "mjpeg", "yuvj420p"),
]


@pytest.mark.usefixtures("near")
@pytest.mark.parametrize(("name", "codec", "pix_fmt"), CODECS)
def test_formats_of_films(tmp_path: Path, name: str, codec: str, pix_fmt: str) -> None:
    path = film(tmp_path / name, ramp(48), codec, pix_fmt)
    clip = read_clip(path)
    assert (clip.width, clip.height, clip.fps) == (64, 48, 12)
    seen = clip.frames.float().mean((1, 2, 3)) / 4
    # At 12 of 24 frames a second the one in the middle is every other, beginning with the second.
    assert len(clip) == 24
    # Program streams have no time for some frames, and FFmpeg then guesses one frame off.
    near = 1.3 if name == "a.mpg" else 0.7
    assert seen.tolist() == pytest.approx([2 * i + 1 for i in range(24)], abs=near)
    part = read_clip(path, start=1.25, seconds=0.5)
    found = (part.frames.float().mean((1, 2, 3)) / 4).tolist()
    assert found == pytest.approx([31 + 2 * i for i in range(6)], abs=near)


@pytest.mark.usefixtures("near")
def test_our_own_clips_come_back_frame_by_frame(tmp_path: Path) -> None:
    recipe = {"prompt": "a dog", "seed": 2**60}
    for suffix in (".mp4", ".webp", ".gif"):
        path = Video(ramp(25), fps=12, recipe=recipe).save(tmp_path / f"a{suffix}")
        whole, known = read_clip(path), Video.open(path)
        assert torch.equal(whole.frames, known.frames) and whole.recipe == recipe
        part = read_clip(path, start=0.51, seconds=1)
        assert torch.equal(part.frames, known[0.51:1.51].frames) and part.recipe is None
        if suffix == ".mp4":  # the others round times to milliseconds and more
            assert torch.equal(read_clip(path, fps=30).frames, known.resample(30).frames)
        else:
            assert torch.equal(read_photo(path).frames, known.frames[:1])


@pytest.mark.usefixtures("near")
def test_sound_rotation_and_aspect(tmp_path: Path) -> None:
    pixels = torch.from_numpy(np.asarray(quarters(64, 48)).copy())[None].repeat(24, 1, 1, 1)
    path = film(tmp_path / "a.mp4", pixels, "libx264", "yuv420p", sound=True)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one, unit = 0x00010000, 0x40000000
    data[at : at + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 48 * one, 0, unit)
    path.write_bytes(data)
    clip = read_clip(path)
    assert (len(clip), clip.width, clip.height) == (12, 48, 64)  # sound lasts for 3 seconds
    turned = np.rot90(np.asarray(quarters(64, 48)), -1)
    found, expected = corners(clip.to_numpy()[5]), corners(turned)
    assert np.abs(found.astype(int) - expected).max() < 16
    assert (measure(path).width, measure(path).height) == (48, 64)
    assert measure(path).seconds == pytest.approx(1, abs=0.05)


@pytest.mark.usefixtures("near")
def test_changing_rate(tmp_path: Path) -> None:
    times = [0, 40, 80, 120, 500, 540, 1500, 1540, 1580]  # milliseconds
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for k, at in enumerate(times):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 25 * k, np.uint8), "rgb24")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = read_clip(path)
    seen = [round(float(f.float().mean()) / 25) for f in clip.frames]
    middles = (np.arange(len(clip)) + 0.5) / 12 * 1000
    assert clip.seconds == pytest.approx(1.62, abs=0.05)
    assert seen == [int(np.searchsorted(times, m, side="right")) - 1 for m in middles]


@pytest.mark.usefixtures("near")
def test_large_films_are_reduced(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", ramp(6, 640, 360), "libx264", "yuv420p")
    clip = read_clip(path, limit=90)
    assert (clip.width, clip.height, len(clip)) == (160, 90, 3)
    assert (measure(path).width, measure(path).height) == (640, 360)


def test_one_on_screen_at_each_middle() -> None:
    """Against the definition, on random films."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        edges = np.cumsum(rng.uniform(0.001, 0.4, int(rng.integers(2, 30))))
        edges -= edges[0]
        frames = [(a, b, i) for i, (a, b) in enumerate(pairwise(edges))]
        fps = float(rng.uniform(1, 60))
        start = float(rng.uniform(0, edges[-1] * 0.9))
        stop = start + float(rng.uniform(0.01, 9)) if rng.random() < 0.7 else float("inf")
        found = list(at_rate(frames, fps=fps, start=start, stop=stop))
        count = max(1, np.floor((min(stop, edges[-1]) - start) * fps + 0.5))
        middles = start + (np.arange(count) + 0.5) / fps
        expected = np.minimum(np.searchsorted(edges, middles, side="right") - 1, len(frames) - 1)
        assert found == expected.tolist()
        assert list(at_rate(frames, fps=fps, start=edges[-1] + 1, stop=stop)) == []


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises so many pixels and holds a line of them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


@pytest.mark.usefixtures("near")
def test_what_cannot_be_read_gets_one_sentence(tmp_path: Path) -> None:
    good = film(tmp_path / "good.mp4", torch.randint(0, 255, (96, 48, 64, 3), dtype=torch.uint8),
                "libx264", "yuv420p")  # fmt: skip
    data = good.read_bytes()
    webm = film(tmp_path / "good.webm", ramp(96), "libvpx-vp9", "yuv420p").read_bytes()
    gif = io.BytesIO()
    quarters().save(gif, "GIF", save_all=True, append_images=[quarters().rotate(180)])
    with av.open(str(tmp_path / "none.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    sound = io.BytesIO()
    with av.open(sound, "w", format="wav") as container:
        track = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(track.encode(frame))
    files = {
        "text.mp4": (b"this is no video\nbut text\n", "holds text"),
        "empty.mp4": (b"", "is an empty file"),
        "zeros.mp4": (bytes(5000), "cannot be read"),
        "cut.mp4": (data[: len(data) // 2], "cannot be read|breaks off"),  # the index is lost
        "cut.webm": (webm[: len(webm) // 2], "breaks off at|cannot be read"),
        "cut.gif": (gif.getvalue()[:-200], "cannot be read"),
        "cut.png": (png_header(300, 200), "cannot be read"),
        "none.mkv": ((tmp_path / "none.mkv").read_bytes(), "no pictures|cannot be read"),
        "sound.wav": (sound.getvalue(), "cannot be read"),
        "bomb.png": (png_header(10000, 10000), "100 megapixels; .* at most 64.* 8000x8000"),
        "thin.png": (png_header(2**31 - 1, 2), "megapixels"),
        "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(400), "HEIC photo.* JPEG"),
        "list.m3u8": (b"#EXTM3U\n#EXTINF:1,\ngood.mp4\n#EXT-X-ENDLIST\n", "holds text"),
        "art.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "holds text"),
        "shape.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "holds text"),
    }
    for name, (content, expected) in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        for read in (read_clip, measure) if name in ("text.mp4", "bomb.png") else (read_clip,):
            with pytest.raises(MediaError, match=expected) as caught:
                read(path)
            sentence = str(caught.value)
            assert sentence.isprintable() and sentence.endswith(".") and len(sentence) < 300
    with pytest.raises(MediaError, match="is a video where a picture is needed"):
        read_photo(good)
    with pytest.raises(MediaError, match="no pictures at 99 seconds"):
        read_clip(good, start=99)
    for missing in (tmp_path, tmp_path / "no.mp4", "a\0.mp4"):
        with pytest.raises(MediaError):
            read_clip(missing)
    for bad in ({"start": -1.0}, {"seconds": 0.0}, {"fps": 0.0}, {"start": float("nan")}):
        with pytest.raises(MediaError):
            read_clip(good, **bad)


def test_a_film_that_breaks_off(tmp_path: Path) -> None:
    """Its beginning can be had all the same."""
    noise = torch.randint(0, 255, (96, 48, 64, 3), dtype=torch.uint8)
    data = Video(noise, fps=24).save(tmp_path / "a.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"breaks off|cannot be read"):
        read_clip(path)
    whole = read_clip(tmp_path / "a.mp4")
    assert torch.equal(read_clip(path, seconds=1).frames, whole[:1].frames)


HARM = {
    "crash": "import os; os.abort()",
    "memory": "from worldreel.video import reader; reader._set_limits(); x = bytearray(5 << 30)",
    "silence": "",
    "nonsense": "print('[1, 2')",
    "hang": "import time; time.sleep(60)",
    "exit": "raise SystemExit(3)",
}


@pytest.mark.parametrize("harm", HARM)
def test_a_decoder_may_break(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str) -> None:
    quarters().save(tmp_path / "a.png")
    code = 'import sys\nsys.path[:] = sys.argv.pop().split("\\n")\n' + HARM[harm]
    monkeypatch.setattr(foreign, "_READER", code)
    monkeypatch.setattr(foreign, "TIMEOUT", 1.0 if harm == "hang" else 60.0)
    began = time.monotonic()
    with pytest.raises(MediaError, match="took more than" if harm == "hang" else "broke down"):
        read_photo(tmp_path / "a.png")
    assert time.monotonic() - began < 30


def test_limits_hold_in_the_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Video(ramp(24), fps=12).save(tmp_path / "a.mp4")
    lower = foreign._READER.replace("main()", "import worldreel.video.reader as r; r.{}\nmain()")
    monkeypatch.setattr(foreign, "_READER", lower.format("MAX_BYTES = 10 * 64 * 48 * 3"))
    with pytest.raises(MediaError, match=r"too long to be held.*0 seconds"):
        read_clip(path)
    monkeypatch.setattr(foreign, "_READER", lower.format("MAX_WORK = 12 * 64 * 48"))
    with pytest.raises(MediaError, match=r"too long to be read whole.* 1 seconds"):
        read_clip(path)
    assert len(read_clip(path, seconds=1)) == 12


def test_the_reader_needs_no_torch_and_no_folder_of_the_user(tmp_path: Path) -> None:
    code = (
        "import sys, worldreel.video.reader, worldreel.video.film as f; "
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the user was imported')")
    quarters().save(tmp_path / "a.png")
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        assert photo(Path("a.png")).shape == (48, 80, 3)
    finally:
        os.chdir(before)


@pytest.mark.usefixtures("near")
def test_long_clips_stay_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_IN_MEMORY", 1000)
    path = Video(ramp(24), fps=12).save(tmp_path / "a.mp4")
    clip = read_clip(path)
    assert torch.equal(clip.frames, Video.open(path).frames)
    assert len((clip + clip).resize(128, 96)) == 48
