"""What textenvs costs and what its agents learn, measured."""
