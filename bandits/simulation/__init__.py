"""Policies that learn online in a simulated environment."""

from bandits.simulation.simulation import Simulation, SimulationRow

__all__ = [
    "Simulation",
    "SimulationRow",
]
