"""Bytes of tokens become text piece by piece: no character is split, no part of a stop string shown."""

import codecs
from collections.abc import Sequence


class TextStream:
    """Text of one generation; the pieces that `feed` and `finish` return are final and make up `text`."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self.text = ""
        self.stopped = False
        """A stop string came; what follows it is ignored."""
        self._stop = tuple(stop)
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._held = ""

    def feed(self, data: bytes) -> str:
        """The text that is certain with the bytes of one more token: often none, never part of a stop."""
        return self._take(self._decoder.decode(data))

    def finish(self, *, cut: bool) -> str:
        """The rest. `cut`: the text was ended from outside, so a character still incomplete is dropped."""
        piece = "" if cut else self._take(self._decoder.decode(b"", final=True))
        if self.stopped:
            return piece
        piece, self._held = piece + self._held, ""
        self.text += piece
        return piece

    def _take(self, decoded: str) -> str:
        if self.stopped:
            return ""
        self._held += decoded
        found = [(self._held.find(stop) + len(stop), len(stop)) for stop in self._stop if stop in self._held]
        if found:
            # the stop completed first holds, the longest of several: so that token boundaries make no
            # difference
            end, length = min(found, key=lambda pair: (pair[0], -pair[1]))
            piece, self._held, self.stopped = self._held[: end - length], "", True
        else:
            certain = len(self._held) - self._possible_stop()
            piece, self._held = self._held[:certain], self._held[certain:]
        self.text += piece
        return piece

    def _possible_stop(self) -> int:
        """Length of the longest end of what is held that begins a stop string."""
        longest = max((len(stop) for stop in self._stop), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stop):
                return length
        return 0
