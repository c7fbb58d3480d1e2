from hypothesis import given
from hypothesis import strategies as st

from seawall.core.snapshot import HistogramData, PipelineSnapshot, PolicySnapshot, Snapshot
from seawall.report import fleet as fleet_module
from seawall.report.fleet import Fleet
from seawall.report.merge import merge_policy, since


def circuit(state="closed", *, success=0, name="c", details=None, **gauges):
    return PolicySnapshot(
        "circuit_breaker",
        name,
        ("p",),
        state,
        {"requests.success": success},
        gauges,
        {"duration": HistogramData((1.0, 2.0), (success, 0, 0), success * 0.5)},
        details or {"reason": state},
    )


def merged(*live, dead=(), base=None):
    result = merge_policy(live, dead, base)
    assert result is not None
    return result


def test_the_worst_state_wins_with_its_details():
    order = ["closed", "observe", "forced-closed", "disabled", "half-open", "open", "forced-open"]
    for position, state in enumerate(order):
        found = merged(*(circuit(one) for one in reversed(order[: position + 1])))
        assert found.state == state
        assert found.details["reason"] == state


def test_workers_are_counted_by_state():
    assert merged(circuit("open"), circuit(), circuit()).details["workers"] == {"open": 1, "closed": 2}


def test_gauges_are_summed_but_times_are_the_largest():
    found = merged(circuit(trials=1, retry_after=3.0, oldest=1.0), circuit(trials=2, retry_after=5.0, oldest=0.5))
    assert found.gauges == {"trials": 3, "retry_after": 5.0, "oldest": 1.0}


def test_the_dead_count_but_have_no_state_and_no_gauges():
    found = merged(circuit(success=1, trials=1), dead=[circuit("open", success=10, trials=5)])
    assert (found.state, found.counters["requests.success"], found.gauges) == ("closed", 11, {"trials": 1})
    assert found.histograms["duration"].counts == (11, 0, 0)
    assert merged(dead=[circuit("open", success=10)]).state == ""


def test_distributions_with_other_bounds_lose_no_value():
    here = PolicySnapshot("retry", "r", histograms={"d": HistogramData((1.0, 4.0), (1, 1, 1), 9.0)})
    there = PolicySnapshot("retry", "r", histograms={"d": HistogramData((2.0, 4.0, 8.0), (1, 2, 3, 4), 60.0)})
    found = merged(here, there)
    assert found.histograms["d"] == HistogramData((1.0, 4.0), (1, 4, 8), 69.0)


def test_counts_since_a_fork_leave_out_what_the_parent_counted():
    then = Snapshot(1.0, (PipelineSnapshot("p", (), {"calls.success": 5}),), (circuit(success=5),))
    now = Snapshot(2.0, (PipelineSnapshot("p", (), {"calls.success": 7}),), (circuit(success=7), circuit(name="new")))
    found = since(now, then)
    assert found.policies[0].counters == {"requests.success": 2}
    assert found.policies[0].histograms["duration"] == HistogramData((1.0, 2.0), (2, 0, 0), 1.0)
    assert found.policies[1] == circuit(name="new")
    assert found.pipelines[0].counters == {"calls.success": 2}
    # a policy that was made anew after the fork counts from zero
    assert since(Snapshot(3.0, (), (circuit(success=1),)), then).policies[0].counters == {"requests.success": 1}


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.sampled_from(["count", "count", "end", "again", "anew"]), st.integers(0, 9)
    ),
    max_size=40,
)


@given(STEPS)
def test_merged_counts_are_exact_and_never_go_back(steps):
    before, fleet_module.MOST_DEAD = fleet_module.MOST_DEAD, 2
    try:
        counts: dict[str, int] = {}
        folded: set[str] = set()
        fleet, total, last = Fleet(), 0, 0
        for worker, what, more in steps:
            if worker in folded:
                continue  # links again after it was forgotten: documented to count twice
            if what == "end":
                if worker in counts:
                    folded.update(fleet.ended(worker))
            else:
                fleet.set_live(worker, live=True)
                # "anew": its policy was replaced and starts at zero
                counts[worker] = (
                    more if what == "anew" and more < counts.get(worker, 0) else counts.get(worker, 0) + more
                )
                total += more
                fleet.update(worker, 1.0, [circuit(success=counts[worker])], [])
            seen = sum(p.counters["requests.success"] for p in fleet.snapshot(1.0).policies)
            assert seen == total
            assert seen >= last
            last = seen
    finally:
        fleet_module.MOST_DEAD = before


def test_a_worker_can_bring_in_only_so_many_names(monkeypatch):
    monkeypatch.setattr(fleet_module, "MOST_PER_WORKER", 3)
    fleet = Fleet()
    fleet.set_live("w", live=True)
    fleet.update("w", 1.0, [circuit(name=f"c{n}") for n in range(5)], [])
    assert len(fleet.snapshot(1.0).policies) == 3
    assert fleet.left_out == 2
    fleet.update("w", 2.0, [circuit(name="c0", success=3)], [])  # known ones go on
    assert fleet.snapshot(2.0).policies[0].counters["requests.success"] == 3


def test_only_what_changed_is_merged_again():
    fleet = Fleet()
    fleet.set_live("w", live=True)
    fleet.update("w", 1.0, [circuit(name="a"), circuit(name="b")], [])
    first = fleet.snapshot(1.0).policies
    fleet.update("w", 2.0, [circuit(name="b", success=1)], [])
    second = fleet.snapshot(2.0).policies
    assert second[0] is first[0]
    assert second[1] is not first[1]
