"""What demuxing a video stream tells, and the plan that follows from it."""

from dataclasses import dataclass

from indexing.decode.plan import PacketFacts, ReadingPlan, Timeline, plan_reading
from indexing.decode.protocol import Accuracy
from indexing.sampling import nearest_tolerance, sample_times

CUT_S, CUT_SHARE = 0.25, 0.02  # a header that promises more than this beyond what is there tells of a cut file


@dataclass(frozen=True)
class StreamIndex:
    """What demuxing tells of the video stream, without decoding.

    *packets* are in the order of decoding. *width* and *height* are those of the stored picture, before rotation, 0
    where the container does not say. *tick_s* is the seconds of one tick of the stream's clock. *header_s* is the
    duration that the header promises, if any. *timed* is false where presentation times are missing and those of
    decoding stand for them. *broken*: the container breaks off.
    """

    codec: str
    width: int
    height: int
    tick_s: float
    packets: tuple[PacketFacts, ...]
    shown: Timeline
    header_s: float | None = None
    timed: bool = True
    broken: bool = False

    @property
    def duration_s(self) -> float:
        """From the first picture to the end of the last, by the packets that are there: headers are often wrong."""
        return (self.shown.end - self.shown.start) * self.tick_s

    @property
    def cut(self) -> bool:
        """Whether less is there than the header promises."""
        lost_s = (self.header_s or 0.0) - self.duration_s
        return self.broken or lost_s > max(CUT_S, CUT_SHARE * self.duration_s)

    def instants(self, n_frames: int) -> list[float]:
        """The ticks at which frames are wanted."""
        return [float(t) for t in self.shown.start + sample_times(self.duration_s, n_frames) / self.tick_s]

    def plan(self, n_frames: int, accuracy: Accuracy) -> ReadingPlan | None:
        """What to decode for *n_frames* frames, or None where the times do not allow a plan."""
        if not self.timed:
            return None
        tolerance_s = nearest_tolerance(self.duration_s, n_frames) if accuracy is Accuracy.NEAREST else 0.0
        return plan_reading(self.packets, self.shown, self.instants(n_frames), tolerance_s / self.tick_s)
