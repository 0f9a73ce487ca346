"""Gossip after the agents forgot each other: the healers know their peers' addresses and join them again."""
from stage import stage, wait_for


@stage()
def test_agents_that_forgot_each_other_are_joined_again(c):
    for n in c.nodes:
        n.parts['serf'].kill()
    for n in c.nodes:
        n.start_serf(None)                # no -join: each agent is alone
    names = {n.name for n in c.nodes}

    def whole():
        for n in c.nodes:
            members = n.http('/v1/members') or []
            if {m['node'] for m in members if m['status'] == 'alive' and m['canBid']} != names:
                return False
        return True
    wait_for(whole, 30, 'all see each other again')
