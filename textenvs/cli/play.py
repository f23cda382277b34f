"""`textenvs play`: a person plays an environment in the terminal."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.error import InvalidAction

from textenvs.cli.environments import Environment
from textenvs.env import TextEnv
from textenvs.errors import OptionError
from textenvs.rendering import lay_out
from textenvs.terminal import has_colour, paint, width
from textenvs.views import Paragraph, printable
from textenvs.wrappers.strings import string_actions

SPACE = "▁"
"""What stands for a space in the names of tokens."""
SHOWN = 24
"""Tokens that a list shows."""
HELP = """\
text      the token that begins so, if only one does; else those that do are listed
"text"    a whole answer, or a whole turn, in quotes
:17       action 17
:end      the token that ends the answer
:l TEXT   list the legal tokens that begin so, all without TEXT
:u        undo the last action
:h        a hint
:q        stop"""


@dataclass(frozen=True, kw_only=True)
class Settings(Environment):
    """Play an environment yourself: say which token comes next.

    A token is chosen by how it begins; :? tells what else can be typed.
    """

    index: int | None = None
    """The example; by default one is drawn."""
    seed: int | None = None
    """Of what is drawn."""
    hints: str = "expert"
    """Who gives hints: the expert, heuristic, or the folder of a run, whose agent does."""


class Game:
    """An episode whose actions can be taken back.

    Args:
        env: the environment.
        index: of the example.
    """

    def __init__(self, env: TextEnv, index: int) -> None:
        self.env = env
        self.index = index
        self.names = [
            printable(env.task.token_name(int(token))).replace(SPACE, " ")
            for token in env.action_tokens
        ]
        self.actions: list[int] = []
        self.restart([])
        self.prompt = self.observation

    def restart(self, actions: list[int]) -> None:
        """Begin anew with some actions."""
        self.observation, _ = self.env.reset(options={"index": self.index})
        self.actions, self.rewards, self.ended = [], 0.0, False
        self.metrics: dict[str, float] = {}
        for action in actions:
            self.take(action)

    def take(self, action: int) -> None:
        """Take an action.

        Raises:
            InvalidAction: there is none of this number, or it is not legal now.
        """
        if 0 <= action < len(self.names) and not self.env.action_masks()[action]:
            raise InvalidAction(f"{self.names[action]!r} is not legal now; :l lists what is")
        self.observation, reward, self.ended, _, info = self.env.step(action)
        self.actions.append(action)
        self.rewards += reward
        self.metrics = info.get("metrics", {})

    def undo(self) -> None:
        """Take the last action back.

        Raises:
            InvalidAction: there is none.
        """
        if not self.actions:
            raise InvalidAction("there is nothing to undo")
        self.restart(self.actions[:-1])

    def legal(self, prefix: str = "") -> list[int]:
        """The legal actions whose tokens begin so, with or without a space before."""
        legal = np.flatnonzero(self.env.action_masks()).tolist()
        return [action for action in legal if begins(self.names[action], prefix)]

    def matching(self, text: str) -> list[int]:
        """The legal actions that a text can mean: those that are it, or else begin so."""
        found = self.legal(text)
        same = [action for action in found if self.names[action] in (text, f" {text}")]
        return same if len(same) == 1 else found

    def whole(self, text: str) -> None:
        """Play a whole answer.

        Raises:
            InvalidAction: it is none, or not all of it is legal; nothing is played then.
        """
        before = list(self.actions)
        try:
            for action in string_actions(self.env.task, self.env._episodes, text):
                if self.ended:
                    break
                self.take(action)
        except InvalidAction:
            self.restart(before)
            raise


def begins(name: str, prefix: str) -> bool:
    """Whether a token's name begins so; a space before it need not be typed.

    >>> begins(" the", "th"), begins(" the", " th"), begins("the", " th")
    (True, True, False)
    """
    return name.startswith(prefix) or name.removeprefix(" ").startswith(prefix)


def run(settings: Settings) -> int:
    """Play one example.

    Raises:
        OptionError: there is no such environment, option, example or seed.
    """
    if settings.seed is not None and settings.seed < 0:
        raise OptionError(f"--seed is {settings.seed}; expected at least 0")
    env = settings.make(reward="dense", split="test")
    index = settings.index
    if index is None:
        index = int(np.random.default_rng(settings.seed).integers(env.num_examples))
    game = Game(env, index)
    hint = hinting(settings.hints)
    complete_by(lambda text: [game.names[action].strip() for action in game.legal(text)])
    colour = has_colour()
    print(paint(f"{settings.env}, example {game.index}", "bold", colour))
    print(paint("Type how the next token begins; :? tells what else.", "faint", colour))
    show(game)
    while not game.ended:
        try:
            typed = input(f"{len(game.actions) + 1:3}: ")  # colours would upset readline
        except EOFError:
            print()
            break
        if typed.strip() == ":q":
            break
        try:
            answer(game, typed, hint)
        except (InvalidAction, OptionError) as error:
            print(paint(str(error), "red", colour))
    finish(game)
    return 0


def answer(game: Game, typed: str, hint: Callable[[Game], int]) -> None:
    """Do what was typed.

    Raises:
        InvalidAction: it cannot be done.
    """
    command, _, rest = typed.strip().partition(" ")
    if typed.strip() in ("", ":?"):
        print(HELP)
        return
    if command == ":l":
        listed(game, game.legal(rest))
        return
    if command == ":h":
        action = hint(game)
        print(f"hint: {game.names[action]!r} (:{action})")
        return
    if command == ":u":
        game.undo()
    elif command == ":end":
        eos = np.flatnonzero(game.env.action_tokens == game.env.eos_token_id)
        if not eos.size:
            raise InvalidAction("no action ends an episode here: it ends by itself")
        game.take(int(eos[0]))
    elif command[1:].isdecimal() and command.startswith(":"):
        game.take(int(command[1:]))
    elif len(typed.strip()) > 1 and typed.strip()[0] == typed.strip()[-1] == '"':
        game.whole(typed.strip()[1:-1])
    else:
        found = game.matching(typed) or game.matching(typed.strip())
        if len(found) != 1:
            if not found:
                raise InvalidAction(
                    f"no legal token begins with {typed!r}; :l lists those that are, and a "
                    "whole answer goes in quotes"
                )
            listed(game, found)
            return
        game.take(found[0])
    show(game)


def show(game: Game) -> None:
    """Print how the episode stands."""
    colour = has_colour()
    print("\n".join(lay_out(game.env.view(), width(), colour)))
    score = float(game.env._episodes.score(0))
    if not game.ended:
        legal = game.legal()
        first = "  ".join(
            game.names[action].strip() or repr(game.names[action]) for action in legal[:8]
        )
        more = "  ..." if len(legal) > 8 else ""
        line = Paragraph(f"{score:.3f}   {len(legal)} legal: {first}{more}", speaker="score")
        print("\n".join(lay_out([line], width(), False)))


def listed(game: Game, actions: list[int]) -> None:
    """Print some actions."""
    names = [f"{game.names[action]!r} (:{action})" for action in actions[:SHOWN]]
    if len(actions) > SHOWN:
        names.append(f"... and {len(actions) - SHOWN} more: type more of it")
    print("\n".join(lay_out([Paragraph("   ".join(names) or "none")], width(), False)))


def finish(game: Game) -> None:
    """Print the score, and what the expert does."""
    colour = has_colour()
    if not game.ended:
        print(f"stopped after {len(game.actions)} actions, score {game.rewards:.3f}")
        return
    metrics = ", ".join(f"{n} {v:.3f}" for n, v in game.metrics.items() if "/" not in n)
    print(paint(f"score {game.rewards:.3f}", "green" if game.rewards > 0 else "red", colour))
    print("\n".join(lay_out([Paragraph(metrics, speaker="metrics")], width(), colour)))
    game.restart([])
    while not game.ended:
        game.take(game.env.expert_action())
    print(
        "\n".join(
            lay_out([Paragraph(game.env._episodes.text(0), speaker="expert")], width(), colour)
        )
    )


def hinting(who: str) -> Callable[[Game], int]:
    """What gives hints.

    Raises:
        AgentError: it is no agent's folder, or the agent is another environment's.
    """
    if who == "expert":
        return lambda game: game.env.expert_action()
    if who == "heuristic":
        return lambda game: game.env.heuristic_action()
    # What is here imports no agents, which need more than environments do.
    agent = importlib.import_module("agents.cli.runs").open_agent(who)
    state: Any = None

    def hint(game: Game) -> int:
        nonlocal state
        check_fits(agent.contract, game.env, who)
        if state is None:  # its first sight is of the prompt, whose end some models need to know
            _, state = agent.predict(game.prompt)
        legal = game.env.action_masks()
        action, state = agent.predict(game.observation, state=state, action_masks=legal)
        return int(action)

    return hint


def check_fits(contract: Any, env: TextEnv, who: str) -> None:
    """Check that an agent was made for an environment.

    Raises:
        OptionError: its tokens or actions are others.
    """
    made_for = (contract.max_tokens, *contract.action_tokens)
    if made_for != (env.task.max_tokens, *env.action_tokens.tolist()):
        raise OptionError(
            f"--hints {who} is an agent of another environment, or of other data: its actions or "
            "observations are not those of this one"
        )


def complete_by(candidates: Callable[[str], list[str]]) -> None:
    """Let the TAB key complete what is typed, where the platform has readline."""
    with contextlib.suppress(ImportError):
        import readline

        def complete(text: str, state: int) -> str | None:
            found = sorted(set(candidates(text)))
            return found[state] if state < len(found) else None

        readline.set_completer_delims("")
        readline.set_completer(complete)
        readline.parse_and_bind("tab: complete")
