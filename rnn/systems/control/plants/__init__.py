"""Ready-made plants, one file each; angles are 0 where things hang. Their constants are parameters."""

from rnn.systems.control.plants.acrobot import acrobot
from rnn.systems.control.plants.arm import arm, arm_tip
from rnn.systems.control.plants.car import car
from rnn.systems.control.plants.cart_pole import cart_pole
from rnn.systems.control.plants.double_integrator import double_integrator
from rnn.systems.control.plants.pendulum import pendulum
from rnn.systems.control.plants.quadrotor import quadrotor

__all__ = ["acrobot", "arm", "arm_tip", "car", "cart_pole", "double_integrator", "pendulum", "quadrotor"]
