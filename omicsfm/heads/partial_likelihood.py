"""Cox's partial likelihood: who was at risk when somebody had the event, and how unlikely it was to be that one.

Everything is in logarithms, so that log hazards of +-100 neither overflow nor lose their gradient. Without events a
likelihood is 0 and its gradient is 0 but exists, so that every rank takes part in the backward pass.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from omicsfm import distributed
from omicsfm.contracts import Survival

EVENT_TIMES_AT_ONCE = 512


def gathered(outcome: Survival, log_hazard: Float[Tensor, " visits"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log hazard, time, event and entry of visits with a known outcome, of every rank: a risk set spans them all."""
    known = distributed.gather_rows(outcome.observed)
    parts = (log_hazard.float(), outcome.time_days, outcome.event, outcome.entry_days)
    hazard, time, event, entry = (distributed.gather_rows(part)[known] for part in parts)
    return hazard, time, event, entry


def breslow(
    log_hazard: Float[Tensor, " visits"],
    time_days: Float[Tensor, " visits"],
    event: Bool[Tensor, " visits"],
    entry_days: Float[Tensor, " visits"],
) -> Float[Tensor, ""]:
    """Negative log partial likelihood per event; of tied events each has the whole risk set (Breslow 1974)."""
    if len(log_hazard) == 0:
        return log_hazard.sum()
    at_risk = log_at_risk(log_hazard, time_days, event, entry_days)
    return torch.where(event, at_risk - log_hazard, 0.0).sum() / event.sum().clamp(min=1)


def efron(
    log_hazard: Float[Tensor, " visits"],
    time_days: Float[Tensor, " visits"],
    event: Bool[Tensor, " visits"],
    entry_days: Float[Tensor, " visits"],
) -> Float[Tensor, ""]:
    """Negative log partial likelihood per event; of d tied events the k-th (from 0) has a risk set in which the tied
    ones count 1 - k/d (Efron, JASA 1977).
    """
    if len(log_hazard) == 0:
        return log_hazard.sum()
    at_risk = log_at_risk(log_hazard, time_days, event, entry_days)
    _, tie = torch.unique(time_days, return_inverse=True)
    count, place = _places(tie, event)
    tied = _logsumexp_by(tie, log_hazard.masked_fill(~event, -torch.inf))[tie]
    share = torch.where(event, place / count.clamp(min=1), 0.0)
    # the tied are part of those at risk, so the exponent is at most 0
    left = torch.log1p(-share * torch.exp((tied - at_risk).clamp(max=0.0).masked_fill(~event, 0.0)))
    return torch.where(event, at_risk + left - log_hazard, 0.0).sum() / event.sum().clamp(min=1)


def log_at_risk(
    log_hazard: Float[Tensor, " visits"],
    time_days: Float[Tensor, " visits"],
    event: Bool[Tensor, " visits"],
    entry_days: Float[Tensor, " visits"],
) -> Float[Tensor, " visits"]:
    """For each event the log of the summed hazards of those at risk then: not yet out, and entered before (delayed
    entry; an entry on day 0 is before everything). Elsewhere some finite number.
    """
    if not entry_days.any():
        time, order = time_days.sort(descending=True)
        _, group, counts = time.unique_consecutive(return_inverse=True, return_counts=True)
        last_of_tie = (counts.cumsum(0) - 1)[group]
        sums = torch.logcumsumexp(log_hazard[order], dim=0)[last_of_tie]  # not log(cumsum(exp)): overflows above 88
        return sums[order.argsort()]
    times, tie = torch.unique(time_days, return_inverse=True)
    wanted = torch.zeros(len(times), dtype=torch.bool, device=times.device).index_fill(0, tie[event], True)
    sums = log_hazard.new_zeros(len(times))
    for part in torch.nonzero(wanted)[:, 0].split(EVENT_TIMES_AT_ONCE):
        then = times[part, None]
        at_risk = (time_days >= then) & ((entry_days < then) | (entry_days == 0))
        sums = sums.index_copy(0, part, log_hazard.expand(len(part), -1).masked_fill(~at_risk, -torch.inf).logsumexp(1))
    return sums[tie]


def _places(tie: Int[Tensor, " visits"], event: Bool[Tensor, " visits"]) -> tuple[Tensor, Tensor]:
    """How many events each row's time has, and the number, from 0, of each event among them."""
    groups = int(tie.max()) + 1
    count = torch.zeros(groups, device=tie.device).index_add(0, tie, event.float())
    order = tie.argsort(stable=True)
    before = event[order].float().cumsum(0) - event[order].float()
    first = torch.cat([count.new_zeros(1), count.cumsum(0)[:-1]])
    return count[tie], torch.empty_like(before).index_copy(0, order, before - first[tie[order]])


def _logsumexp_by(group: Int[Tensor, " visits"], values: Float[Tensor, " visits"]) -> Float[Tensor, " groups"]:
    """Log of the summed exponentials of each group; -inf where a group has none."""
    groups = int(group.max()) + 1
    top = values.new_full((groups,), -torch.inf).scatter_reduce(0, group, values.detach(), "amax")
    top = torch.where(top.isfinite(), top, 0.0)
    total = values.new_zeros(groups).index_add(0, group, torch.exp(values - top[group]))
    return top + torch.log(total.clamp(min=torch.finfo(values.dtype).tiny))
