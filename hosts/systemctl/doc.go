// Package systemctl is the private protocol between the collector and a host: the command line that a poll runs on
// the host, and the parser of what that command prints. It is pure over bytes: it knows neither ssh nor any message
// format, and does no I/O of its own.
//
// Flow of a poll:
//
//	Query.Command  ->  the login shell of a host (sh, bash, zsh, fish, csh)
//	                     exec timeout sh -c '<constant script>' sh NONCE MANAGER-PROPERTIES GROUP...
//	Query.Parse    <-  BEGIN/END markers with the nonce around three kinds of section: manager, boot, units
//
// A group is one run of `systemctl show`: a property list and the units to show. From systemd 233 on there is one group
// with all properties. Before, a property that a unit lacks ends the command silently, so there is one group per unit
// type, with what that type has in that version (see [Answer.Regroup]).
//
// A [Listing] is the other question, asked now and then: which units do some globs stand for. Its command and answer have the
// same form, with the sections list-units and list-unit-files.
//
// Guarantees: only bytes between markers with the poll's nonce count. A record is taken by its position and checked by
// its Id and Names. A value that a host does not have is nil or "", never 0 and never a guess. Text that a service
// smuggles into a value neither becomes a record nor changes one: it is an error or it is ignored.
//
// [ParseCommand] is the far side of the protocol, for simulated hosts. [Wrapper] is a forced command for real ones: it has
// its own copy of the constant scripts, so that a host and a key that are bound to it run no others.
package systemctl
