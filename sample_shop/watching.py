"""How a video is watched: the closed forms of the sample shop's feedback. Every estimator is tested against them.

Interest. u's true interest in v on a day, V_v the products shown in v:

    interest = σ(B + S · mean_{p ∈ V_v} affinity(u, p, day)),                       B = −0.8, S = 1.7

Appeal, with quality in [0, 1] and popularity standardised over the videos:

    z = A_I · logit(interest) + quality_dial · A_Q · (quality − ½) + popularity_dial · A_P · popularity

Position. A feed's slot k = 1, 2, … is reached with probability reach_k and, once reached, attended to with attend_k:

    reach_k = ((k + 3)/4)^(−η_R · position_dial),   attend_k = k^(−η_A · position_dial),   η_R = 1, η_A = 0.3
    examination_propensity(k) = reach_k · attend_k

One uniform U_feed decides a whole feed: slot k is reached iff U_feed < reach_k, so reaching is monotone. An unreached
slot has no watch time. A slot that is reached but not attended to gets a glance, U · min(1 s, 0.2 D), and no feedback.

Watching, once examined. With probability

    p_skip = skip_dial · σ(C_0 − C_1 · z)                                            (cut at 1)

the video is skipped at once, after U · min(1.5 s, 0.3 D). Otherwise the watched share x of the duration D has the
log-logistic survival function

    P(x ≥ f) = 1 / (1 + (f · D_REF^(1−δ) · D^δ / (S_0 · e^z))^κ),                    δ = duration_dial

so with δ = 1 the seconds watched do not know the duration (short videos are completed more easily), and with δ = 0
completion does not depend on it. x > 1 is a replay: it is kept with probability min(1, R · replay_dial), at most 4
times through, and otherwise cut at 1. watch_time_s = x · D. None of this touches the half-way mark, so

    p_watch50_if_examined = (1 − p_skip) · P(x ≥ ½).

Explicit feedback needs an examined video and x ≥ ¼, each kind independent given interest:

    P(like) = 0.30 · interest²,     P(comment) = 0.05 · interest²,
    P(follow) = 0.06 · interest³,   P(share) = 0.06 · interest²,

times explicit_dial (cut at 1). All draws are made from (seed, user, video, day) alone: `label_if_examined` is what the
log shows whenever the slot was examined, under any policy. The constants stand below the imports, by these names.
"""

from dataclasses import dataclass, fields

import numpy as np

from sample_shop.arrays import Bools, Floats, Ints, Keys, sigmoid, uniforms

INTEREST_BASE, INTEREST_SLOPE = -0.8, 1.7
APPEAL_INTEREST, APPEAL_QUALITY, APPEAL_POPULARITY = 0.7, 1.5, 0.3
REACH_DECAY, ATTENTION_DECAY = 1.0, 0.3
SKIP_BASE, SKIP_SLOPE = -1.6, 0.8
WATCH_SCALE_S, WATCH_SHAPE, REFERENCE_DURATION_S = 4.5, 2.2, 8.0
REPLAY_RATE, MOST_PLAYS = 0.5, 4.0
LIKE, COMMENT, FOLLOW, SHARE = (0.30, 2), (0.05, 2), (0.06, 3), (0.06, 2)  # rate, power of interest
_FEEDBACK_FROM = 0.25

# One stream of draws per question asked of a key.
_SKIPS, _SKIP_TIME, _SHARE_WATCHED, _REPLAYS, _LIKES, _COMMENTS, _FOLLOWS, _SHARES, _ATTENDS, _GLANCE = range(10)


@dataclass(frozen=True)
class Dials:
    """How strong each bias is: 1 as documented, 0 switched off.

    *position* reach and attention; *duration* short videos being completed more easily; *popularity*, *quality* their
    pull on watching; *skip* early skips; *replay* watching more than once; *drift* of tastes; *explicit* feedback.
    """

    position: float = 1.0
    duration: float = 1.0
    popularity: float = 1.0
    quality: float = 1.0
    skip: float = 1.0
    replay: float = 1.0
    drift: float = 1.0
    explicit: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"dial {field.name} is {value}; it must be a number of at least 0")


NO_BIAS = Dials(position=0, duration=0, popularity=0, quality=0, skip=0, replay=0, drift=0, explicit=0)


@dataclass(frozen=True)
class Viewing:
    """Videos that would be watched, one row each: *interest* in (0, 1), *z* the appeal, *duration_s*."""

    interest: Floats
    z: Floats
    duration_s: Floats


@dataclass(frozen=True)
class Feedback:
    """What a slot left, one row each. *watch_time_s* is NaN where the slot was not reached."""

    examined: Bools
    watch_time_s: Floats
    liked: Bools
    commented: Bools
    followed: Bools
    shared: Bools


def interest_of(affinity: Floats) -> Floats:
    """True interest of a user in a video from the mean affinity to its products."""
    return sigmoid(INTEREST_BASE + INTEREST_SLOPE * affinity)


def viewing(affinity: Floats, quality: Floats, popularity: Floats, duration_s: Floats, dials: Dials) -> Viewing:
    """The appeal of each row, from mean affinity and the video's hidden truth."""
    logit = INTEREST_BASE + INTEREST_SLOPE * affinity
    z = (
        APPEAL_INTEREST * logit
        + dials.quality * APPEAL_QUALITY * (quality - 0.5)
        + dials.popularity * APPEAL_POPULARITY * popularity
    )
    return Viewing(sigmoid(logit), z, duration_s)


def reach_probability(position: Ints, dials: Dials) -> Floats:
    """P(a slot is scrolled to).

    >>> reach_probability(np.array([1, 5]), Dials()).tolist()
    [1.0, 0.5]
    """
    return np.asarray(((position + 3) / 4.0) ** (-REACH_DECAY * dials.position))


def attention_probability(position: Ints, dials: Dials) -> Floats:
    """P(a slot is attended to), given that it was reached."""
    return np.asarray(position.astype(np.float64) ** (-ATTENTION_DECAY * dials.position))


def examination_probability(position: Ints, dials: Dials) -> Floats:
    """P(a slot is examined) = reach · attention."""
    return reach_probability(position, dials) * attention_probability(position, dials)


def skip_probability(z: Floats, dials: Dials) -> Floats:
    """P(an examined video is skipped at once)."""
    return np.minimum(1.0, dials.skip * sigmoid(SKIP_BASE - SKIP_SLOPE * z))


def survival(share: float, seen: Viewing, dials: Dials) -> Floats:
    """P(at least *share* of an examined video that is not skipped gets watched), before replays are cut."""
    return np.asarray(1.0 / (1.0 + (share / _median_share(seen, dials)) ** WATCH_SHAPE))


def watch50_probability(seen: Viewing, dials: Dials) -> Floats:
    """P(at least half is watched), given that the slot is examined."""
    return (1.0 - skip_probability(seen.z, dials)) * survival(0.5, seen, dials)


def watch_if_examined(keys: Keys, seen: Viewing, dials: Dials) -> Floats:
    """Seconds that would be watched if the slot were examined: the same for a key wherever it is asked."""
    u = uniforms(keys, _SHARE_WATCHED)
    share = _median_share(seen, dials) * ((1.0 - u) / u) ** (1.0 / WATCH_SHAPE)
    replays = uniforms(keys, _REPLAYS) < REPLAY_RATE * dials.replay
    share = np.minimum(share, np.where(replays, MOST_PLAYS, 1.0))
    skips = uniforms(keys, _SKIPS) < skip_probability(seen.z, dials)
    skip_s = uniforms(keys, _SKIP_TIME) * np.minimum(1.5, 0.3 * seen.duration_s)
    return np.where(skips, skip_s, share * seen.duration_s)


def watched_half(watch_s: Floats, duration_s: Floats) -> Bools:
    """Whether a watch counts as a positive: at least half of the duration."""
    return watch_s >= 0.5 * duration_s


def feedback(keys: Keys, position: Ints, reached: Bools, seen: Viewing, dials: Dials) -> Feedback:
    """What delivered slots leave in the log, given which of them were reached."""
    examined = reached & (uniforms(keys, _ATTENDS) < attention_probability(position, dials))
    watch_s = watch_if_examined(keys, seen, dials)
    glance_s = uniforms(keys, _GLANCE) * np.minimum(1.0, 0.2 * seen.duration_s)
    may_react = examined & (watch_s >= _FEEDBACK_FROM * seen.duration_s)
    streams = ((_LIKES, LIKE), (_COMMENTS, COMMENT), (_FOLLOWS, FOLLOW), (_SHARES, SHARE))
    reactions = [
        may_react & (uniforms(keys, stream) < dials.explicit * rate * seen.interest**power)
        for stream, (rate, power) in streams
    ]
    return Feedback(examined, np.where(reached, np.where(examined, watch_s, glance_s), np.nan), *reactions)


def _median_share(seen: Viewing, dials: Dials) -> Floats:
    """The share that half of those who do not skip watch."""
    typical_s = REFERENCE_DURATION_S ** (1.0 - dials.duration) * seen.duration_s**dials.duration
    return np.asarray(WATCH_SCALE_S * np.exp(seen.z) / typical_s)
