package hosts

import (
	"time"

	"service_manager/hosts/systemctl"
)

// A Snapshot is what one poll learnt from a host.
type Snapshot struct {
	Manager systemctl.Manager
	BootID  string           // of the running kernel, empty where the host does not tell
	Units   []systemctl.Unit // one for each watched unit, in the inventory's order
	Took    time.Duration    // from sending the command to its complete answer
}
