"""The model: backbone and heads, its distribution over actions, its prefix cache."""
