"""EV and LV by hand."""

import numpy as np
import pytest

from labelcraft.labels.duration_to_quantile import DurationToQuantile
from labelcraft.labels.views import EffectiveView, LongView
from tests.labelcraft.feedback_rows import feedback, real_rows

TWO_GROUPS = DurationToQuantile(n_groups=2, min_rows=1)


def test_a_view_is_judged_by_those_of_like_duration():
    rows = feedback([1.0, 2.0, 3.0, 10.0, 20.0, 30.0], [5.0, 5.0, 5.0, 90.0, 90.0, 90.0])

    # Medians 2 s and 20 s; third quartiles, between the mid-ranks 1/2 and 5/6, 2.75 s and 27.5 s.
    assert EffectiveView(TWO_GROUPS).fit(rows).transform(rows).tolist() == [0, 1, 1, 0, 1, 1]
    asked = feedback([2.74, 2.76, 27.4, 27.6], [5.0, 5.0, 90.0, 90.0])
    assert LongView(TWO_GROUPS).fit(rows).transform(asked).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(("label", "share"), [(EffectiveView(), 0.5), (LongView(), 0.25)])
def test_of_real_views_the_same_share_is_long_in_every_group(label, share):
    rows = real_rows()
    fitted = label.fit(rows)

    groups = fitted.quantiles.quantiles.groups.of(rows.duration_s)

    shares = np.bincount(groups, fitted.transform(rows)) / np.bincount(groups)
    assert np.abs(shares - share).max() < 0.03  # but for ties
