"""Subtitles (SRT, WebVTT, SubStation Alpha, SBV): what is said, without numbers, times and styles."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

from groundup.documents.document import Document
from groundup.documents.encoding import newlines, plain
from groundup.documents.readers.text import decode_whole
from groundup.documents.reading import Reading, Unreadable

_PAUSE = 3.0  # seconds of silence that end a line
_ROLLING = 0.2  # share of cues that repeat the one before: live captions, in which lines scroll up
_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"^[ \t]*{_TIME}[ \t]*(?:-->|,)[ \t]*{_TIME}(?:[ \t].*)?$")
_MARKUP = re.compile(r"</?(?:[a-zA-Z][^<>]*|\d[\d:.]*)>|\{\\[^{}]*\}|\{[yYcCfFsSpPhH]:[^{}]*\}")
_ENDS = re.compile(r"[.!?…♪。！？][\"'”’»)\]]*$")
_NO_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff00-\uffef]")


@dataclass(slots=True)
class _Cue:
    begin: float
    end: float
    lines: list[str]


def read_subtitles(reading: Reading) -> Iterator[Document]:
    """One document. Cues that go on are joined to lines: a line ends with a sentence, at a pause of 3 s, and
    before the dash of another speaker. Lines that live captions show twice are taken once."""
    text = newlines(decode_whole(reading.whole()))
    cues = _script(text) if reading.media_type == "text/x-ssa" else _timed(text)
    cues = [cue for cue in cues if cue.lines]
    if not cues:
        if text.strip():
            raise Unreadable("no subtitles in it")
        return
    if joined := plain(_joined(_without_repeats(cues))).strip():
        yield Document(joined + "\n", reading.source, reading.media_type)


def _timed(text: str) -> list[_Cue]:
    # SRT, VTT and SBV: a line of times, lines of text, an empty line. What stands elsewhere (numbers, notes,
    # styles, the header) is passed over.
    cues: list[_Cue] = []
    cue: _Cue | None = None
    before = ""
    for line in text.split("\n"):
        if found := _TIMES.match(line):
            if cue and cue.lines and before.strip().isdecimal():
                cue.lines.pop()  # its number, after a line of blanks where an empty one should be
            times = found.groups()
            cue = _Cue(_seconds(*times[:4]), _seconds(*times[4:]), [])
            cues.append(cue)
        elif not line:
            cue = None  # a line of blanks does not end it: live captions have them
        elif cue and (said := _said(line)):
            cue.lines.append(said)
        before = line
    return cues


def _script(text: str) -> list[_Cue]:
    cues: list[_Cue] = []
    columns = ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]
    for line in text.split("\n"):
        key, _, value = line.partition(":")
        if key.strip() == "Format" and "text" in value.lower().replace(" ", "").split(","):
            columns = [name.strip().lower() for name in value.split(",")]
        elif key.strip() == "Dialogue":
            row = dict(zip(columns, value.split(",", len(columns) - 1), strict=False))
            if re.search(r"\\p[1-9]", row.get("text", "")):
                continue  # a drawing
            said = _said(re.sub(r"\\[Nnh]", " ", row.get("text", "")))
            begin, end = (_clock(row.get(name, "")) for name in ("start", "end"))
            cues.append(_Cue(begin, end, [said] if said else []))
    # Files of this kind need not be in the order of time; the same words in several layers are a shadow.
    cues.sort(key=lambda cue: cue.begin)
    return [cue for cue, before in zip(cues, [None, *cues], strict=False) if cue != before]


def _said(line: str) -> str:
    return " ".join(html.unescape(_MARKUP.sub("", line)).split())


def _without_repeats(cues: list[_Cue]) -> list[_Cue]:
    fresh = [
        _Cue(cue.begin, cue.end, _new_lines(before, cue)) for before, cue in zip([None, *cues], cues, strict=False)
    ]
    repeats = sum(
        len(new.lines) < len(cue.lines) or new.lines != cue.lines for new, cue in zip(fresh, cues, strict=True)
    )
    return [cue for cue in fresh if cue.lines] if repeats > _ROLLING * len(cues) else cues


def _new_lines(before: _Cue | None, cue: _Cue) -> list[str]:
    # The lines of the cue but those at its start that the cue before had at its end; a line that has only
    # grown gives what is new.
    if before is None or cue.begin - before.end > _PAUSE:
        return cue.lines
    for count in range(min(len(before.lines), len(cue.lines)), 0, -1):
        old, now = before.lines[-count:], cue.lines[:count]
        if old[:-1] == now[:-1] and (now[-1] + " ").startswith(old[-1] + " "):
            rest = now[-1][len(old[-1]) :].strip()
            return [rest, *cue.lines[count:]] if rest else cue.lines[count:]
    return cue.lines


def _joined(cues: list[_Cue]) -> str:
    parts: list[str] = []
    end = cues[0].begin
    for cue in cues:
        for number, line in enumerate(cue.lines):
            if parts:
                pause = number == 0 and cue.begin - end > _PAUSE
                if pause or _ENDS.search(parts[-1]) or line[0] in "-–—":
                    parts.append("\n")
                elif not (_NO_SPACES.match(line) and _NO_SPACES.match(parts[-1][-1])):
                    parts.append(" ")
            parts.append(line)
        end = cue.end
    return "".join(parts)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str) -> float:
    return int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction) / 10 ** len(fraction)


def _clock(text: str) -> float:
    found = re.fullmatch(_TIME, text.strip())
    return _seconds(*found.groups()) if found else 0.0
