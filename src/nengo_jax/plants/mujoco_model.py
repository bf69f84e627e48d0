"""A model of MuJoCo as a plant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from nengo.exceptions import ValidationError

from .black_box import black_box
from .plant import Plant


def mujoco_plant(model: str | Path, *, epsilon: float = 1e-6) -> Plant:
    """Return a plant that MuJoCo simulates on the host.

    The state, all of which is observed, is (qpos, qvel, act) in the order of the model;
    actions are its controls. The step is ``timestep`` of the model. Derivatives are
    central differences; see :func:`black_box`.

    Parameters
    ----------
    model : str or Path
        An XML file, or XML text.
    epsilon : float
        Step of the central differences.

    Raises
    ------
    ValidationError
        If MuJoCo does not take the model, or it has nothing to act with or to move.
    """
    import mujoco

    try:
        made = (
            mujoco.MjModel.from_xml_string(str(model))
            if str(model).lstrip().startswith("<")
            else mujoco.MjModel.from_xml_path(str(model))
        )
    except ValueError as error:
        raise ValidationError(
            f"MuJoCo cannot read the model: {error}", attr="model"
        ) from error
    if made.nu == 0:
        raise ValidationError(
            "The model has no actuators, so there is nothing to act with", attr="model"
        )
    start = np.concatenate([made.qpos0, np.zeros(made.nv + made.na)])
    if len(start) == 0:
        raise ValidationError(
            "The model has no joints, so there is nothing that moves", attr="model"
        )
    data = mujoco.MjData(made)
    cuts = np.cumsum([made.nq, made.nv, made.na])

    def step(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        after = np.empty_like(states)
        for row, (state, action) in enumerate(zip(states, actions, strict=True)):
            mujoco.mj_resetData(made, data)
            data.qpos[:], data.qvel[:], data.act[:] = np.split(state, cuts[:-1])
            data.ctrl[:] = action
            mujoco.mj_step(made, data)
            after[row] = np.concatenate([data.qpos, data.qvel, data.act])
        return after

    return black_box(
        step,
        actions=[made.actuator(k).name or f"u{k}" for k in range(made.nu)],
        observations=len(start),
        start=start,
        dt=float(made.opt.timestep),
        name="MuJoCo model",
        epsilon=epsilon,
    )
