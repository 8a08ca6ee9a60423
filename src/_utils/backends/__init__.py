"""Where a component runs: on this machine, on a node of SLURM, or in a pod of Kubernetes."""
