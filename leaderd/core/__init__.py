"""The election, pure: what the promise rests on, readable in an evening.

Promise: the intervals in which nodes hold resources never overlap, and fencing tokens grow strictly.

It rests on: a linearizable etcd that clients reach directly; clock *rates* of a node and the etcd leader
that differ by at most `clock_drift`; a kernel that runs its timers; stops that tell the truth; and all
candidates being leaderd. Not promised: writes that were in flight when a holder was stopped are for the
resource to refuse, by the fencing token.

Way through the code: `states` (the table), `machine` (the frame), `election` (the decisions), `session`
(from lease to takeover), `takeover` (when the previous window is over), `term` and `remains` (starting, and
everything after a stop), `lease` and `proof` (arithmetic), `history` (restores), `records` (what stands in
etcd). `atleast` and `floor` are for elections that promise the opposite, and no part of all this.
"""
