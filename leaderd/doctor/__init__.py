"""What `leaderd doctor` looks at: etcd (`cluster`), this machine (`machine`), by trying it out (`trial`).

Nothing here changes anything that lasts: leases are revoked, addresses are put into a network namespace of
their own, and a watchdog device is not opened, since that starts it.
"""
