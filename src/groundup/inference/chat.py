"""A chat for the terminal: the talk is written as a script, which a base model continues."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

from groundup.corpus.tokenizer import Tokenizer
from groundup.errors import UserError
from groundup.inference.generate import generate
from groundup.inference.packing import PackedModel
from groundup.inference.sampling import SamplingSettings
from groundup.model import Transformer

WELCOME = """This is a base model: it has learned to continue text, not to follow instructions.
Each message is put into a script (User: ... Assistant: ...) that it continues. /help lists the commands.
"""
HELP = """/set key=value   change a setting, such as temperature=0.5 or top_k=20
/settings        show the settings
/history         show the talk so far
/clear           forget the talk so far
/help            show this
/exit            end (so do Ctrl-D, and Ctrl-C while you type; Ctrl-C during a reply stops the reply)
Everything that does not begin with / is a message.
"""
_NEXT_TURN = "\nUser:"


def chat(
    model: Transformer | PackedModel,
    tokenizer: Tokenizer,
    settings: SamplingSettings | None = None,
    *,
    read: Callable[[str], str] = input,
    write: Callable[[str], object] = lambda text: print(text, end="", flush=True),
) -> None:
    """Talk until /exit or the end of input.

    `read(prompt)` returns a line and raises EOFError at the end; `write(text)` shows text as it is, without
    adding a newline.
    """
    talk = _Talk(model, tokenizer, settings or SamplingSettings(), write)
    write(WELCOME)
    while True:
        try:
            line = read("> ").strip()
        except (EOFError, KeyboardInterrupt):
            write("\n")
            return
        if line in ("/exit", "/quit"):
            return
        try:
            if line.startswith("/"):
                talk.command(line)
            elif line:
                talk.reply(line)
        except UserError as error:
            write(f"{error}\n")
        except KeyboardInterrupt:  # just before or after a reply
            write("\n")


@dataclass
class _Talk:
    model: Transformer | PackedModel
    tokenizer: Tokenizer
    settings: SamplingSettings
    write: Callable[[str], object]
    turns: list[tuple[str, str]] = field(default_factory=list)
    forgetting: bool = False

    def reply(self, message: str) -> None:
        """Continue the script, showing the reply while it is made."""
        shown: list[str] = []

        def show(_: int, piece: str) -> None:
            if not shown:  # the script's own space after "Assistant:"
                piece = piece.lstrip()
            if piece:
                shown.append(piece)
                self.write(piece)

        settings = replace(self.settings, stop=(_NEXT_TURN, *self.settings.stop))
        notes = []
        try:
            script = self._script(message)
            done = generate(self.model, self.tokenizer, [script], settings, on_text=show)[0]
            if done.slid_at:
                notes.append("the context was full: the beginning of this talk was forgotten")
            if not shown:
                notes.append("the model ended its turn without a word")
        except KeyboardInterrupt:
            notes.append("stopped")
        self.write("".join(f"\n[{note}]" for note in notes) + "\n")
        self.turns.append((message, "".join(shown).rstrip()))

    def command(self, line: str) -> None:
        """Carry out a line that begins with /."""
        name, _, rest = line.partition(" ")
        if name == "/set":
            self.settings = changed(self.settings, rest)
            self._show_settings()
        elif name == "/settings":
            self._show_settings()
        elif name == "/history":
            self.write("".join(_turn(*turn) for turn in self.turns) or "nothing was said yet\n")
        elif name == "/clear":
            self.turns.clear()
            self.forgetting = False
            self.write("forgotten\n")
        elif name == "/help":
            self.write(HELP)
        else:
            self.write(f"unknown command {name}; /help lists the commands\n")

    def _script(self, message: str) -> str:
        """The script up to the reply, without the oldest turns where the context has no room for both."""
        last = f"User: {message}\nAssistant:"
        room = self.model.shape.context - min(self.settings.max_new_tokens, self.model.shape.context // 2)
        turns = [_turn(*turn) for turn in self.turns]
        while turns and len(self.tokenizer.encode("".join(turns) + last)) >= room:
            turns.pop(0)
        if len(turns) < len(self.turns) and not self.forgetting:
            self.forgetting = True
            self.write(f"[the model sees {self.model.shape.context} tokens: older turns are left out]\n")
        return "".join(turns) + last

    def _show_settings(self) -> None:
        for entry in fields(self.settings):
            self.write(f"{entry.name} = {getattr(self.settings, entry.name)!r}\n")


def changed(settings: SamplingSettings, assignment: str) -> SamplingSettings:
    """The settings after `key=value`; raises UserError for an unknown key or a value that cannot be used.

    The value of `stop` is one text, in which \\n is a new line; nothing removes all stops.
    """
    key, equals, text = (part.strip() for part in assignment.partition("="))
    kinds = {entry.name: type(entry.default) for entry in fields(settings)}
    if key not in kinds or not equals:
        fix = f"write /set key=value; the keys are {', '.join(kinds)}"
        raise UserError(f"cannot set '{assignment.strip()}'", fix=fix)
    if kinds[key] is tuple:
        return replace(settings, stop=(text.replace("\\n", "\n"),) if text else ())
    try:
        value = int(text) if kinds[key] is int else float(text)
    except ValueError:
        raise UserError(f"is {text!r}", where=key, fix="give a number") from None
    return replace(settings, **{key: value})


def _turn(message: str, reply: str) -> str:
    return f"User: {message}\nAssistant: {reply}\n"
