package publish

import (
	"encoding/json"
	"fmt"
	"time"
)

// A Delivery is a message as a consumer gets it. Whoever may write to the exchange can have sent it.
type Delivery struct {
	Key  string    // Routing key.
	ID   string    // Property message_id. A message that was sent again has the same.
	Time time.Time // Property timestamp, which AMQP carries in whole seconds; zero where there is none.
	Body []byte
}

// Decode returns the body as the [Status], [Event] or [Notice] that it says it is. The error is of a body that is none of these, or of
// a schema that is not known here.
func (d Delivery) Decode() (any, error) {
	var head struct {
		Schema int    `json:"schema"`
		Type   string `json:"type"`
	}
	if err := json.Unmarshal(d.Body, &head); err != nil {
		return nil, fmt.Errorf("decoding a message: %w", err)
	}
	if head.Schema != Schema {
		return nil, fmt.Errorf("decoding a message: its schema is %d, known is %d", head.Schema, Schema)
	}
	switch head.Type {
	case KindStatus:
		return decode[Status](d.Body)
	case KindEvent:
		return decode[Event](d.Body)
	case KindCollector:
		return decode[Notice](d.Body)
	}
	return nil, fmt.Errorf("decoding a message: its type is %q, which is not known", head.Type)
}

func decode[T any](body []byte) (any, error) {
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		return nil, fmt.Errorf("decoding a message: %w", err)
	}
	return v, nil
}
