// Package handover passes listening sockets from a process to its successor, so
// that a restart refuses no connection.
//
// The process that serves offers its sockets at a Unix socket. Its successor asks
// for them, serves them too, and then tells it to end. As both have the very same
// sockets, there is no moment at which nobody listens, and what waits to be
// accepted is lost by neither. (Two sockets on one port, as SO_REUSEPORT allows,
// each have a queue of their own: what is in that of the former process when it
// closes its socket, is reset.)
//
// Each message is a packet of JSON. The successor speaks first:
//
//	successor                predecessor
//	{"say":"hand over"}  →
//	                     ←   {"say":"here","sockets":["127.0.0.1:8080"]}, with the sockets
//	{"say":"serving"}    →
//	                     ←   {"say":"ending"}
//
// What is read by one process alone, such as a UDP socket, is the successor's from
// "ending" on.
//
// Until it is told "serving", the predecessor goes on as before, whatever becomes
// of the successor. It answers "nothing" when it has no sockets left, and "ended"
// when another successor was first; that one is about to offer at the same path.
package handover

import "time"

const (
	// answerTimeout is how long one side waits for the other one's answer.
	answerTimeout = 10 * time.Second
	// servingTimeout is how long a successor may take to serve.
	servingTimeout = 30 * time.Second
	// offerTimeout is how long a successor that serves may take to offer.
	offerTimeout = 2 * time.Second
	// maxSockets is how many can be sent with one message.
	maxSockets = 64
	// maxMessage bounds the JSON of a message.
	maxMessage = 16 << 10
)

// What a message says.
const (
	sayHandOver = "hand over"
	sayHere     = "here"
	sayNothing  = "nothing"
	sayServing  = "serving"
	sayEnding   = "ending"
	sayEnded    = "ended"
)

type message struct {
	Say     string   `json:"say"`
	Sockets []string `json:"sockets,omitempty"` // what each of those sent with it is for
}
