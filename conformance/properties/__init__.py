"""Properties: small functions, each the executable form of one clause. A property judges; it does not raise."""
