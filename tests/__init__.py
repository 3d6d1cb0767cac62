"""A package, because torch-fidelity installs one of this name, which would win over a plain folder."""
