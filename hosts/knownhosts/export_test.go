package knownhosts

// Pending is how many hashed names the next lookup of a name compares with it.
func (k Keys) Pending(name Name) int {
	n := 0
	for _, c := range k.files {
		c.mu.Lock()
		for _, h := range c.pool {
			if h.since > c.compared[name.String()] {
				n++
			}
		}
		c.mu.Unlock()
	}
	return n
}
