"""The frameworks: how each one spells each loss, and how its calls are run."""
