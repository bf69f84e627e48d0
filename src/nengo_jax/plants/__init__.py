"""Plants: what a controller acts on, as pure functions that can be differentiated."""

from .arms import (
    HUMAN,
    RODS,
    THREE_LINKS,
    Arm,
    acceleration,
    hand,
    inertia,
    inverse_kinematics,
    joints,
    three_link_arm,
    two_link_arm,
)
from .black_box import black_box, derivative_error
from .classic import cart_pole, damped_mass, pendulum
from .closed_loop import Control, HoldState, Trajectory, hold, roll_out, run
from .cost import quadratic_cost
from .environment import gymnasium_node
from .held_batches import HeldBatches
from .limits import squash
from .mujoco_model import mujoco_plant
from .node import PlantNode
from .observed import Observed
from .pictures import animate, draw
from .plant import Plant, repeat

__all__ = [
    "HUMAN",
    "RODS",
    "THREE_LINKS",
    "Arm",
    "Control",
    "HeldBatches",
    "HoldState",
    "Observed",
    "Plant",
    "PlantNode",
    "Trajectory",
    "acceleration",
    "animate",
    "black_box",
    "cart_pole",
    "damped_mass",
    "derivative_error",
    "draw",
    "gymnasium_node",
    "hand",
    "hold",
    "inertia",
    "inverse_kinematics",
    "joints",
    "mujoco_plant",
    "pendulum",
    "quadratic_cost",
    "repeat",
    "roll_out",
    "run",
    "squash",
    "three_link_arm",
    "two_link_arm",
]
