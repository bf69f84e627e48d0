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
from .environment import gymnasium_node
from .limits import squash
from .mujoco_model import mujoco_plant
from .node import PlantNode
from .pictures import animate, draw
from .plant import Plant, repeat, run

__all__ = [
    "HUMAN",
    "RODS",
    "THREE_LINKS",
    "Arm",
    "Plant",
    "PlantNode",
    "acceleration",
    "animate",
    "black_box",
    "cart_pole",
    "damped_mass",
    "derivative_error",
    "draw",
    "gymnasium_node",
    "hand",
    "inertia",
    "inverse_kinematics",
    "joints",
    "mujoco_plant",
    "pendulum",
    "repeat",
    "run",
    "squash",
    "three_link_arm",
    "two_link_arm",
]
