// Consume prints the failed units of the hosts of one group, as service_manager reports them.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"os"

	amqp "github.com/rabbitmq/amqp091-go"
)

func main() {
	conn, err := amqp.Dial(os.Getenv("AMQP_URL"))
	check(err)
	channel, err := conn.Channel()
	check(err)
	queue, err := channel.QueueDeclare("", false, true, true, false, nil) // a queue of our own that ends with us
	check(err)
	check(channel.QueueBind(queue.Name, "status.web.*", "service_manager", false, nil))
	messages, err := channel.Consume(queue.Name, "", true, true, false, false, nil)
	check(err)
	for message := range messages {
		var status struct {
			Outcome string `json:"outcome"`
			Error   string `json:"error"`
			Host    struct {
				Name string `json:"name"`
			} `json:"host"`
			Units []struct {
				Name        string `json:"name"`
				ActiveState string `json:"active_state"`
			} `json:"units"`
		}
		check(json.Unmarshal(message.Body, &status))
		if status.Outcome != "ok" { // Then units are the last known ones: no news of them, whatever they say.
			fmt.Println(status.Host.Name, "cannot be read:", status.Error)
			continue
		}
		for _, unit := range status.Units {
			if unit.ActiveState == "failed" {
				fmt.Println(status.Host.Name, unit.Name, "failed")
			}
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
