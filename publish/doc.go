// Package publish is the contract with consumers (the messages' JSON, properties and routing keys) and the way to the broker.
//
// A Publisher pulls messages from a Source, sends them to a RabbitMQ topic exchange with publisher confirms, and settles each one with
// the Source when its fate is known:
//
//	Source.Take → Validate → basic.publish → window of unconfirmed messages → confirm (or return, nack, loss) → Source.Settle
//
// It guarantees that Confirmed is only said of what the broker has confirmed; that every message taken is settled exactly once; that
// it never blocks for longer than its timeouts, whatever the broker or the network does; and that it reconnects until its context
// ends. What is settled as Lost may have arrived: a Source that hands it out again makes duplicates, which consumers tell by message_id.
// Keeping what is not confirmed, and the order of messages that need one, is the Source's part.
//
// RabbitMQ ends the channel over a message that it does not take, and with it all others in flight. Such a message is found by sending
// the suspects one by one, and settled as Rejected. Those that come later with its routing key are sent when there is nothing else to send,
// and few in a minute, since each costs the connection.
//
// RabbitMQ confirms a message when all queues bound for it have it, and does not where one of them is stuck or without its majority. Such
// a message is settled as Refused when its confirm is overdue, and those that come later with its key have but a part of the window, so
// that other queues get what is theirs. Where nothing is confirmed at all, the connection is made anew.
//
// A Writer is the same for a file or pipe: JSON lines instead of a broker.
//
// A Subscriber receives messages through a temporary queue, for people who look on. What is sent while it has no connection it misses,
// and says so.
//
// The folder schema has JSON Schemas of the messages, for consumers in any language. A Go program that imports this package for its
// types links the AMQP client with it, but no ssh and nothing else of this module.
package publish
