"""Three nodes and an etcd of their own on one machine: what `leaderd demo`, the tests and bench run."""
