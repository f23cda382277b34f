"""Each check finds the environment that is broken in its way, and no other check does."""

import gymnasium
import pytest
import toys
from gymnasium.envs.registration import EnvSpec

import textenvs
from textenvs.checking import CHECKS, CheckFailed, NotOffered, Returns
from textenvs.checking.probes import judge


def spec(cls="Reversing", vector=None, **kwargs):
    return EnvSpec(
        "Toy-v0",
        entry_point=f"toys:{cls}",
        vector_entry_point=vector and f"toys:{vector}",
        kwargs=kwargs,
    )


def found(report, status="failed"):
    return {result.name: result.message for result in report.results if result.status == status}


def test_an_honest_environment_passes_what_it_offers():
    report = textenvs.check(spec(vector="looped"))
    assert found(report) == {}, str(report)
    assert found(report, "skipped") == {
        "vector_policies": "not offered: env.unwrapped has no expert_actions"
    }


BROKEN = [
    ("NoRenderFps", "gymnasium_api", "No render fps was declared"),
    ("TwoActionsOneToken", "spaces_and_ids", "two actions append the same token"),
    ("Rewriting", "prefix_grows", "seed 0, step 1: the prefix may only grow, but its token 0 was"),
    ("NeverLegal", "masks", "seed 0, step 2: no action is legal, but the episode goes on"),
    ("WideMask", "masks", "an action_mask is int8 (11,) of 0 and 1, got int64"),
    ("OtherMask", "masks", "action_masks() must be the mask as bool: [0]: True and False"),
    ("HarmfulError", "illegal_actions", "an illegal action changed the episode: step"),
    ("NoIndex", "reset_index", "another seed gave another prompt of one example"),
    ("Truncating", "episode_end", "truncated is for time limits"),
    ("CountingMetrics", "episode_end", "metric 'length' must be a finite float, got "),
    ("Overpaying", "terminal_reward", "the score must be in [0, 1], the return is 2"),
    ("NotTelescoping", "dense_reward", "r = Φ(s') - Φ(s) needs Φ(s_0) = 0"),
    ("PoorExpert", "expert_is_best", ", the expert 0.0"),
    ("IllegalExpert", "expert_is_legal", "is illegal"),
    ("SeedIgnoring", "seeding", "seeds 7 and 8 give the same 8 episodes"),
    ("Hashing", "other_process", "does the order of a set, or hash(), decide something?"),
    ("Unpicklable", "pickling", "it cannot be pickled: "),
    ("Forgetful", "pickling", "differs: later["),
    ("GlobalRandom", "global_random", "changed the global state of random:"),
    ("GlobalNumpy", "global_random", "changed the global state of numpy.random:"),
    ("AnyOrder", "reward_hacks", "'copy the prompt' returns 1.000, over half way from"),
]


@pytest.mark.parametrize(("cls", "check", "message"), BROKEN, ids=[case[0] for case in BROKEN])
def test_a_broken_environment_fails_the_one_check_it_should(cls, check, message):
    report = textenvs.check(spec(cls), episodes=20)
    assert set(found(report)) == {check}, str(report)
    assert message in found(report)[check]


def test_every_check_has_a_broken_environment():
    elsewhere = {"every_action", "spec_json", *(name for name in CHECKS if "vector" in name)}
    assert {check for _, check, _ in BROKEN} | elsewhere == set(CHECKS)


def test_a_spec_that_json_changes_is_found():
    report = textenvs.check(spec("TupleWanting", extra=(1, 2)))
    assert set(found(report)) == {"spec_json"}
    assert "made from the spec's JSON it differs: episode[0][0]" in found(report)["spec_json"]


def test_an_action_that_raises_is_named():
    report = textenvs.check(spec("Refusing"), checks=["every_action"])
    assert found(report) == {
        "every_action": "action 0 after reset(seed=0) raised RuntimeError('an empty answer')"
    }


def test_what_raises_in_another_check_fails_that_check():
    report = textenvs.check(spec("Refusing"), checks=["dense_reward"])
    message = found(report)["dense_reward"]
    assert message.startswith("RuntimeError: an empty answer (toys.py, line ")


def test_an_episode_without_an_end_is_cut_off():
    report = textenvs.check(spec("Endless"), checks=["terminal_reward"])
    assert "an episode went on after 10 actions" in found(report)["terminal_reward"]


def test_a_vector_environment_that_is_off_by_a_hair_is_found():
    report = textenvs.check(spec(vector="rounding"))
    modes = {"vector_same_step", "vector_next_step", "vector_disabled"}
    assert set(found(report)) == modes
    assert "step 1, vector environment and loop: rewards[0]: " in found(report)["vector_disabled"]


def test_policies_of_a_vector_environment_are_compared():
    report = textenvs.check(spec(vector="confused"))
    assert set(found(report)) == {"vector_policies"}
    assert "slot 1: expert_actions()" in found(report)["vector_policies"]


def test_what_an_environment_does_not_offer_is_skipped_with_the_reason():
    report = textenvs.check(spec("Bare"))
    assert found(report) == {}, str(report)
    skipped = found(report, "skipped")
    assert {"masks", "illegal_actions", "reset_index", "episode_end", "dense_reward"} < set(skipped)
    assert skipped["masks"] == "not offered: no action_mask in infos: every action is legal"
    assert skipped["episode_end"] == 'not offered: no info["metrics"] at the end of an episode'
    assert "it cannot be made with reward='dense': " in skipped["dense_reward"]
    assert skipped["vector_disabled"] == "not offered: no spec with a vector_entry_point"
    assert "there is no expert" in skipped["reward_hacks"]
    assert report.returns["copy the prompt"].mean == 1.0


def test_an_instance_is_checked_through_its_spec():
    report = textenvs.check(gymnasium.make(spec("NotTelescoping", vector="looped")))
    assert "dense_reward" in found(report)
    assert "spec_json" not in found(report, "skipped")


def test_of_an_instance_without_a_spec_is_checked_what_can_be():
    report = textenvs.check(toys.Reversing(extra=1))
    assert found(report) == {}, str(report)
    skipped = found(report, "skipped")
    assert skipped["dense_reward"] == (
        "not offered: without a spec it cannot be made with reward='dense'"
    )
    assert skipped["spec_json"] == skipped["other_process"] == "not offered: no spec"
    assert {"seeding", "pickling", "masks", "expert_is_best", "reward_hacks"} <= set(
        found(report, "passed")
    )
    assert set(found(textenvs.check(toys.Rewriting()))) == {"prefix_grows"}


class _Plain(gymnasium.Wrapper):
    """A wrapper that does not record how it was made."""


def test_what_is_wrapped_so_that_no_spec_makes_it_is_checked_as_it_is():
    env = gymnasium.make(spec("Rewriting"), disable_env_checker=True)
    report = textenvs.check(_Plain(env), episodes=5)
    assert set(found(report)) == {"prefix_grows"}
    assert found(report, "skipped")["spec_json"] == "not offered: no spec"


def test_episodes_that_a_time_limit_cuts_off_have_no_score_to_add_up_to():
    env = gymnasium.make("TextNER-v0", max_episode_steps=3)
    assert found(textenvs.check(env, episodes=5)) == {}


def test_a_reward_of_the_users_own_is_probed():
    def holds_the_answer(episode):
        return float(episode.example.answers[0] in episode.text)

    report = textenvs.check(
        "TextQA-v0",
        checks=["reward_hacks"],
        episodes=15,
        reward=holds_the_answer,
        max_new_tokens=80,
    )
    assert "'copy the prompt' returns" in found(report)["reward_hacks"]
    honest = textenvs.check("TextQA-v0", checks=["reward_hacks"], episodes=15, max_new_tokens=80)
    assert honest.ok


def judged(**means):
    judge({name: Returns(mean, kind_of(name), "") for name, mean in means.items()})


def kind_of(name):
    return "probe" if name == "trick" else "reference"


def test_a_trick_is_flagged_half_way_to_the_expert_or_well_above_the_heuristic():
    judged(**{"random legal": 0.2, "expert": 1.0, "trick": 0.59})
    with pytest.raises(CheckFailed, match=r"over half way from 0\.200 to 1\.000"):
        judged(**{"random legal": 0.2, "expert": 1.0, "trick": 0.61})
    judged(**{"random legal": 0.0, "heuristic": 0.1, "expert": 1.0, "trick": 0.34})
    with pytest.raises(CheckFailed, match=r"well over heuristic and random play, 0\.100"):
        judged(**{"random legal": 0.0, "heuristic": 0.1, "expert": 1.0, "trick": 0.36})
    judged(**{"random legal": 0.2, "heuristic": 0.0, "expert": 1.0, "trick": 0.39})
    with pytest.raises(CheckFailed, match=r"well over heuristic and random play, 0\.200"):
        judged(**{"random legal": 0.2, "heuristic": 0.0, "expert": 1.0, "trick": 0.41})
    with pytest.raises(CheckFailed, match="over half way"):
        judged(**{"random legal": 0.0, "heuristic": 0.9, "expert": 1.0, "trick": 0.6})
    with pytest.raises(NotOffered, match="is no better than random play"):
        judged(**{"random legal": 0.2, "expert": 0.2, "trick": 0.9})
