package web

import (
	"github.com/prometheus/client_golang/prometheus"

	"service_manager/collector"
	"service_manager/collector/outbox"
	"service_manager/hosts"
	"service_manager/publish"
)

func collectorFigures() []figure[collector.Stats] {
	type stats = collector.Stats
	overruns := func(cause string, value func(stats) float64) figure[stats] {
		return figure[stats]{
			prometheus.NewDesc("service_manager_overruns_total",
				"Turns missed by hosts that were well, or new, because their polls before had not ended: because of the host, which answers "+
					"slowly, or because the polls waited for places.",
				nil, prometheus.Labels{"cause": cause}),
			prometheus.CounterValue, value,
		}
	}
	return []figure[stats]{
		gauge("polls_waiting", "Hosts that wait to be polled on their connections.",
			func(s stats) float64 { return float64(s.PollsWaiting) }),
		gauge("polls_in_flight", "Hosts being polled.",
			func(s stats) float64 { return float64(s.PollsInFlight) }),
		gauge("polls_slow", "Those of the polls in flight that have given up their place to others, or never had one.",
			func(s stats) float64 { return float64(s.PollsSlow) }),
		gauge("dials_waiting", "Hosts that wait to be connected to.",
			func(s stats) float64 { return float64(s.DialsWaiting) }),
		gauge("dials_in_flight", "Hosts being connected to.",
			func(s stats) float64 { return float64(s.DialsInFlight) }),
		gauge("dials_slow", "Those of the dials in flight that have given up their place to others.",
			func(s stats) float64 { return float64(s.DialsSlow) }),
		overruns("host", func(s stats) float64 { return float64(s.Overruns) }),
		overruns("waiting", func(s stats) float64 { return float64(s.WaitOverruns) }),
		counter("early_polls_total", "Polls that came before their turn, since something had just happened on the host.",
			func(s stats) float64 { return float64(s.Looks) }),
		counter("late_polls_total", "Polls that waited for places longer than a tenth of their interval.",
			func(s stats) float64 { return float64(s.Late) }),
		gauge("hosts_stretched", "Hosts whose interval is longer than the inventory says, because they answer no faster.",
			func(s stats) float64 { return float64(s.Stretched) }),
		counter("refused_changes_total", "Changes of hosts that could not be kept in the state file; each is tried again with the next poll.",
			func(s stats) float64 { return float64(s.Refused) }),
	}
}

func poolFigures() []figure[hosts.Stats] {
	type stats = hosts.Stats
	return []figure[stats]{
		gauge("ssh_connections", "Standing SSH connections to hosts, those to jump hosts not included.",
			func(s stats) float64 { return float64(s.Connections) }),
		gauge("ssh_jump_connections", "Standing SSH connections that carry tunnels.",
			func(s stats) float64 { return float64(s.JumpConnections) }),
		gauge("ssh_tunnels", "Channels on the connections to jump hosts.",
			func(s stats) float64 { return float64(s.Tunnels) }),
		gauge("ssh_stuck_commands", "Commands that did not end in time and, as far as sshd tells, have not ended since.",
			func(s stats) float64 { return float64(s.Stuck) }),
		counter("ssh_dials_total", "SSH connections begun, to jump hosts included.",
			func(s stats) float64 { return float64(s.Dials) }),
		counter("ssh_commands_left_behind_total", "Commands that did not end in time.",
			func(s stats) float64 { return float64(s.LeftBehind) }),
		counter("ssh_reconnects_total", "Healthy connections that were given up because commands on them did not end.",
			func(s stats) float64 { return float64(s.Reconnects) }),
	}
}

func outboxFigures() []figure[outbox.Stats] {
	type stats = outbox.Stats
	return []figure[stats]{
		gauge("outbox_events", "Events that the broker has not confirmed.",
			func(s stats) float64 { return float64(s.Events) }),
		gauge("outbox_bytes", "Size of the events that the broker has not confirmed.",
			func(s stats) float64 { return float64(s.Bytes) }),
		gauge("outbox_oldest_event_timestamp_seconds", "When the oldest event was observed that the broker has not confirmed. Absent if there is none.",
			func(s stats) float64 { return timestamp(s.Oldest) }),
		gauge("outbox_full", "1 if there is no room for more events.",
			func(s stats) float64 { return yes(s.Full) }),
		gauge("outbox_messages_in_flight", "Messages of all kinds that were handed to the publisher and have not come back.",
			func(s stats) float64 { return float64(s.InFlight) }),
		gauge("outbox_parked_hosts", "Hosts whose first event the broker did not take, and that are tried again now and then.",
			func(s stats) float64 { return float64(s.Parked) }),
		gauge("outbox_quarantined_events", "Events set aside because the broker refuses them for good, since the state file is new.",
			func(s stats) float64 { return float64(s.Quarantined) }),
		counter("outbox_dropped_events_total", "Events dropped because no queue was bound for them.",
			func(s stats) float64 { return float64(s.Dropped) }),
		counter("outbox_committed_events_total", "Events written to the state file.",
			func(s stats) float64 { return float64(s.Committed) }),
		counter("outbox_commits_total", "Transactions of the state file.",
			func(s stats) float64 { return float64(s.Commits) }),
	}
}

func publisherFigures() []figure[publish.Stats] {
	type stats = publish.Stats
	settled := func(result string, value func(stats) float64) figure[stats] {
		return figure[stats]{
			prometheus.NewDesc("service_manager_publisher_settled_messages_total",
				"Messages by what became of them: confirmed; returned (no queue is bound); refused (nacked); lost (the connection ended before the "+
					"confirm, so they are sent again); invalid (can never be sent); rejected (the broker ended the connection because of them).",
				nil, prometheus.Labels{"result": result}),
			prometheus.CounterValue, value,
		}
	}
	return []figure[stats]{
		gauge("publisher_connected", "1 if there is a connection to a broker.",
			func(s stats) float64 { return yes(s.Broker != "") }),
		gauge("publisher_blocked", "1 if the broker takes no messages, because of an alarm of memory or disk.",
			func(s stats) float64 { return yes(s.Blocked) }),
		gauge("publisher_messages_in_flight", "Messages sent and not settled.",
			func(s stats) float64 { return float64(s.InFlight) }),
		counter("publisher_sent_messages_total", "Messages sent, repetitions included.",
			func(s stats) float64 { return float64(s.Published) }),
		settled("confirmed", func(s stats) float64 { return float64(s.Confirmed) }),
		settled("returned", func(s stats) float64 { return float64(s.Returned) }),
		settled("refused", func(s stats) float64 { return float64(s.Nacked) }),
		settled("lost", func(s stats) float64 { return float64(s.Lost) }),
		settled("invalid", func(s stats) float64 { return float64(s.Invalid) }),
		settled("rejected", func(s stats) float64 { return float64(s.Rejected) }),
		counter("publisher_connections_total", "Connections made to a broker; all but the first are reconnects.",
			func(s stats) float64 { return float64(s.Sessions) }),
		counter("publisher_blocks_total", "How often the broker has told to pause.",
			func(s stats) float64 { return float64(s.Blocks) }),
	}
}

func reloadFigures() []figure[Reload] {
	return []figure[Reload]{
		gauge("inventory_last_reload_successful", "1 if the inventory was without mistakes when it was last read.",
			func(r Reload) float64 { return yes(r.OK) }),
		gauge("inventory_last_reload_success_timestamp_seconds", "When the inventory was last read without mistakes: the one in use.",
			func(r Reload) float64 { return timestamp(r.At) }),
	}
}
