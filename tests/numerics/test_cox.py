"""The Cox loss and its baseline equal R's survival package and lifelines on the lung data of Loprinzi et al. 1994."""

import numpy as np
import pytest
import torch

from omicsfm.contracts import Survival
from omicsfm.heads.cox import CoxHead
from omicsfm.heads.partial_likelihood import breslow, efron

pytest.importorskip("lifelines", reason="lifelines is a development extra")

CLINICAL = ("age", "sex", "ph.ecog", "ph.karno", "pat.karno", "meal.cal", "wt.loss")
GOLD = [
    # covariates, rows, first row of each time only?, logLik of R's coxph with these ties at its coefficients
    # (released with torchsurv)
    (breslow, ("age",), 228, False, -748.0077),
    (breslow, ("age",), 186, True, -598.3549),
    (breslow, ("age", "sex"), 228, False, -743.0797),
    (breslow, ("age", "sex"), 186, True, -595.0127),
    (breslow, CLINICAL, 167, False, -494.1793),
    (efron, ("age",), 228, False, -747.7894),
    (efron, ("age", "sex"), 228, False, -742.8482),
    (efron, ("age", "sex"), 186, True, -595.0127),
    (efron, CLINICAL, 167, False, -494.0344),
]


@pytest.fixture(scope="module")
def lung():
    from lifelines.datasets import load_lung

    return load_lung()


def least_loss(likelihood, design: torch.Tensor, time: torch.Tensor, event: torch.Tensor, entry: torch.Tensor) -> float:
    """The loss at its minimum over coefficients, in float64."""
    coefficients = torch.zeros(design.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([coefficients], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = likelihood(design @ coefficients, time, event, entry)
        loss.backward()
        return loss

    optimiser.step(closure)
    return closure().item()


@pytest.mark.parametrize(("likelihood", "covariates", "rows", "first_of_each_time", "gold"), GOLD)
def test_the_partial_likelihood_equals_rs_on_the_lung_data(
    lung, likelihood, covariates, rows, first_of_each_time, gold
) -> None:
    table = lung.dropna() if covariates == CLINICAL else lung
    table = table.drop_duplicates("time") if first_of_each_time else table
    assert len(table) == rows
    design = table[list(covariates)].to_numpy(np.float64)
    event = torch.tensor(table["status"].to_numpy() == 1)
    loss = least_loss(
        likelihood,
        torch.tensor((design - design.mean(axis=0)) / design.std(axis=0)),
        torch.tensor(table["time"].to_numpy(np.float32)),
        event,
        torch.zeros(rows),
    )
    assert -loss * int(event.sum()) == pytest.approx(gold, abs=2e-4)  # R's figures have four digits


@pytest.mark.filterwarnings("ignore")  # lifelines' own, about pandas
def test_survival_curves_equal_lifelines(lung) -> None:
    from lifelines import CoxPHFitter

    table = lung[["time", "status", "age", "sex"]]
    theirs = CoxPHFitter().fit(table, "time", "status")
    log_hazard = torch.tensor(theirs.predict_log_partial_hazard(table).to_numpy(np.float32))
    time, event = table["time"].to_numpy(np.float32), table["status"].to_numpy() == 1
    head = CoxHead(evidence_dim=1, num_times=int(event.sum()))
    known = torch.ones(len(table), dtype=torch.bool)
    head.set_baseline(log_hazard, Survival(torch.tensor(time), torch.tensor(event), known, torch.zeros(len(table))))
    asked = np.sort(table["time"].unique()).astype(float)  # between them lifelines interpolates, we keep the step
    ours = head.survival_probability(log_hazard[:20], torch.tensor(asked, dtype=torch.float32))
    expected = theirs.predict_survival_function(table.iloc[:20], times=asked).to_numpy().T
    np.testing.assert_allclose(ours.numpy(), expected, atol=2e-6)
