"""What callbacks keep of a long run stays within a bound."""

import pytest
import torch

from callbacks.thinned import Thinned


@pytest.mark.parametrize("most", [2, 7, 8])
@pytest.mark.parametrize("moments", [3, 7, 8, 9, 30])
def test_what_was_seen_is_bounded_and_spread_over_the_run(moments, most):
    whole, resumed = Thinned(most), Thinned(most)
    for iteration in range(0, 5 * moments, 5):
        for _ in range(1 + iteration % 2):  # some are seen twice
            whole.add(iteration, {"of": iteration})
        resumed.add(iteration, {"of": iteration})
        resumed, before = Thinned(most), resumed
        resumed.load_state_dict(before.state_dict())
        assert len(whole.kept) <= most
        assert whole.iterations[0] == 0
        assert whole.iterations[-1] == iteration
        assert len(set(torch.tensor(whole.iterations[:-1]).diff().tolist())) <= 1
        assert [seen["of"] for seen in whole.seen] == whole.iterations
        assert resumed.kept == whole.kept
    assert whole.n_seen == moments
    assert len(whole.kept) >= min(moments, (most + 1) // 2)


def test_a_smaller_bound_holds_for_what_a_checkpoint_brings():
    long, short = Thinned(8), Thinned(3)
    for iteration in range(8):
        long.add(iteration, iteration)
    short.load_state_dict(long.state_dict())
    for iteration in range(8, 30):
        short.add(iteration, iteration)
        assert len(short.kept) <= 3
    assert short.iterations[0] == 0
    assert short.iterations[-1] == 29
