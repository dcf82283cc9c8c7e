"""The talk: commands, turns as a script, streaming, polite ends."""

import pytest
from small_models import BYTES, random_model, reciting_model

from groundup.errors import UserError
from groundup.inference import SamplingSettings, chat
from groundup.inference.chat import WELCOME, _Talk, changed

GREEDY = SamplingSettings(temperature=0, max_new_tokens=20)
# the script ends in "Assistant:", so the model goes on from the colon
REPLY = reciting_model(b": yes", context=200)


class Terminal:
    """Lines to be read, and everything written; an exception among the lines is raised."""

    def __init__(self, *lines: str | type[BaseException]) -> None:
        self.lines = list(lines)
        self.shown: list[str] = []
        self.interrupt_after: int | None = None

    def read(self, prompt: str) -> str:
        if not self.lines:
            raise EOFError
        line = self.lines.pop(0)
        if isinstance(line, str):
            return line
        raise line

    def write(self, text: str) -> None:
        self.shown.append(text)
        if self.interrupt_after is not None and sum(map(len, self.shown)) >= self.interrupt_after:
            self.interrupt_after = None
            raise KeyboardInterrupt

    def talk(self, model=REPLY, settings=GREEDY) -> str:
        chat(model, BYTES, settings, read=self.read, write=self.write)
        text = "".join(self.shown)
        assert text.startswith(WELCOME)
        return text.removeprefix(WELCOME)


def test_it_says_once_that_this_is_a_base_model():
    terminal = Terminal("hello", "again")
    terminal.talk()
    assert "".join(terminal.shown).count("base model") == 1


def test_a_reply_streams_and_ends_before_the_next_turn():
    model = reciting_model(b": yes\nU", context=200)
    terminal = Terminal("hello", "/history")
    shown = terminal.talk(model)
    assert shown == "yes\nU\nUser: hello\nAssistant: yes\nU\n\n"
    assert {"y", "e", "s"} <= set(terminal.shown)


def test_the_next_user_turn_is_not_shown():
    # "s" and "e" occur in both "yes" and "User:", so the chain is another word here
    model = reciting_model(b": ok\nUser", context=200)
    model.lm_head.weight.data[:, BYTES.encode("r")[0]] = 0
    model.lm_head.weight.data[BYTES.encode(":")[0], BYTES.encode("r")[0]] = 1
    assert Terminal("hello").talk(model) == "ok\n\n"


def test_settings_change_and_bad_ones_are_explained():
    terminal = Terminal(
        "/set temperature=0.5",
        "/set top_k = 7",
        "/set temperature=hot",
        "/set temperature=nan",
        "/set temperature",
        "/set colour=red",
        "/set",
        "/set stop=END\\n",
        "/frobnicate",
        "/settings",
    )
    shown = terminal.talk()
    assert shown.count("temperature = 0.5\n") == 4  # after each /set that worked, and /settings
    assert "top_k = 7\n" in shown
    assert "temperature: is 'hot'" in shown
    assert "temperature: is nan" in shown
    assert "cannot set 'colour=red'" in shown
    assert "stop = ('END\\n',)" in shown
    assert "unknown command /frobnicate" in shown


def test_history_clear_and_help():
    shown = Terminal("/history", "hi", "/clear", "/history", "/help", "", "   ").talk()
    assert shown.count("nothing was said yet\n") == 2
    assert "forgotten\n" in shown
    assert "/set key=value" in shown


@pytest.mark.parametrize("end", [[], [KeyboardInterrupt], ["/exit", "never read"], ["/quit"]])
def test_it_ends_politely(end):
    terminal = Terminal(*end)
    assert terminal.talk() in ("\n", "")
    assert terminal.lines in ([], ["never read"])


def test_an_interrupt_stops_only_the_reply():
    model = reciting_model(b": abcdefgh", context=200)
    terminal = Terminal("hi", "/history")
    terminal.interrupt_after = len(WELCOME) + 3
    shown = terminal.talk(model)
    assert shown == "abc\n[stopped]\nUser: hi\nAssistant: abc\n\n"


def test_a_reply_without_a_word_is_said_to_be_one():
    assert "[the model ended its turn without a word]" in Terminal("hi").talk(reciting_model(b":", context=99))


def test_old_turns_are_left_out_and_a_full_context_is_said():
    terminal = Terminal(*["a message of some length"] * 6)
    shown = terminal.talk(random_model(1, context=128), SamplingSettings(max_new_tokens=10))
    assert shown.count("older turns are left out") == 1
    assert "beginning of this talk was forgotten" not in shown
    long = Terminal("x" * 300).talk(random_model(1, context=128), SamplingSettings(max_new_tokens=10))
    assert "beginning of this talk was forgotten" in long


def test_the_script_keeps_the_newest_turns():
    terminal = Terminal()
    model = random_model(1, context=100)
    talk = _Talk(model, BYTES, GREEDY, terminal.write, [(f"message {i}", f"reply {i}") for i in range(9)])
    script = talk._script("now")
    assert script == "User: message 8\nAssistant: reply 8\nUser: now\nAssistant:"
    talk.turns = talk.turns[:1]
    assert talk._script("now").startswith("User: message 0")


def test_the_same_talk_gives_the_same_replies():
    def talk() -> str:
        return Terminal("hi", "hi").talk(random_model(1, context=128), SamplingSettings(max_new_tokens=10))

    assert talk() == talk()


def test_a_stop_can_be_removed():
    settings = changed(SamplingSettings(), "stop=a b")
    assert settings.stop == ("a b",)
    assert changed(settings, "stop=").stop == ()
    with pytest.raises(UserError):
        changed(settings, "stop")
