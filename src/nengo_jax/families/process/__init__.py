"""Synapses that are simulated natively: linear filters of any order and Triangle."""
