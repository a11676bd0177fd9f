package front

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/clerkproxy/clerkproxy/internal/wire"
)

const (
	// maxStreams is how many requests a client may have under way, RFC 9113
	// §5.1.2, those included that it has given up and that are still ending.
	maxStreams = 250
	// uploadWindow is how much of requests' bodies may have come without being
	// wanted yet: of one request, and of all that a connection has.
	uploadWindow = 1 << 20
	// maxFrame is how long a frame's content may be: the least that every
	// client takes.
	maxFrame = 16 << 10
	// frameHeader is the length of a frame's own header, RFC 9113 §4.1.
	frameHeader = 9
	// maxWindow is what no window may exceed, RFC 9113 §6.9.1.
	maxWindow = 1<<31 - 1
	// maxNuisance is how many frames a second a client may send that cost it
	// nothing and get it nothing: pings, settings, requests given up at once.
	maxNuisance = 1000
	// A window that grows by less than smallUpdate is a nuisance while more than
	// fewWaiting streams wait for it, all of which it wakes.
	smallUpdate, fewWaiting = 1 << 10, 10
	// maxPending is how much may wait to be written while nothing can be.
	maxPending = 16 << 10
	// maxReset is of how many streams it is known that they were ended while the
	// client had more to send: what it sends before it learns of that is no error.
	maxReset = maxStreams
	// awayGrace is how long a request may be on its way that was sent before the
	// client knew that it is to send no more.
	awayGrace = time.Second
)

// A conn2 is a client's connection that speaks HTTP/2, RFC 9113. One goroutine
// reads its frames; each request has another. Whoever has something to say
// writes it.
type conn2 struct {
	*conn
	incoming incoming
	frames   *http2.Framer // to read incoming

	writing sync.Mutex // held while something is written

	mu      sync.Mutex // guards the fields below, and those of streams that say so
	changed sync.Cond  // a window has grown, or a stream has ended
	streams map[uint32]*stream
	active  int    // streams that are being answered
	lastID  uint32 // of a stream that the client opened
	closed  bool   // there is nobody to write to

	window        int64 // what may still be sent
	widened       int64 // when that was allowed, by the server's clock
	initialWindow int64 // of each stream
	unread        int64 // what the client may not send any more of uploadWindow
	toCredit      int64 // part of unread that is not wanted any more, but not said yet

	pending []byte // frames that wait for writing to be free
	leaving bool   // GOAWAY was sent: the client is to open no more streams
	reset   []uint32
	resets  int
	waiting int // streams that wait for a window

	// Of the goroutine that reads.
	nuisance int
	noted    int64 // when that began to be counted, by the server's clock
}

func newConn2(c *conn) *conn2 {
	c2 := &conn2{
		conn: c, streams: map[uint32]*stream{}, window: 65535, initialWindow: 65535,
		pending: greeting(c.server),
	}
	c2.incoming.conn = c
	c2.frames = http2.NewFramer(io.Discard, &c2.incoming)
	c2.changed.L = &c2.mu
	c2.frames.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c2.frames.MaxHeaderListSize = uint32(c.server.maxHeader())
	c2.frames.SetMaxReadFrameSize(maxFrame)
	c2.frames.SetReuseFrames()
	return c2
}

// maxHeader limits a request's header, in the size of RFC 9113 §6.5.2.
func (s *Server) maxHeader() int {
	if s.config.MaxHeaderBytes > 0 {
		return s.config.MaxHeaderBytes
	}
	return 1 << 20
}

// serve answers requests until there are no more.
func (c *conn2) serve() {
	if !c.limit.enter(inHead, c.server.deadline(c.server.config.ReadHeaderTimeout)) {
		c.close()
		return
	}
	if c.server.draining.Load() {
		c.goAway(http2.ErrCodeNo) // it is too new to have been told with the others
	}
	c.readFrames(c.greet())
}

// readFrames does what frames ask for, until there are no more or err is that of
// the connection. What is left then ends by itself.
func (c *conn2) readFrames(err error) {
	for err == nil {
		if err = c.incoming.await(); c.resting.due {
			go c.readFrames(nil) // ends as this one would
			return
		}
		var f http2.Frame
		if err == nil {
			f, err = c.frames.ReadFrame()
		}
		if err == nil {
			err = c.take(f)
		}
		if err == nil {
			err = c.control(nil)
		}
		var ofStream http2.StreamError
		if errors.As(err, &ofStream) {
			err = c.refuse(ofStream.StreamID, ofStream.Code)
		}
	}
	c.incoming.close()
	var ofConn http2.ConnectionError
	switch {
	case errors.As(err, &ofConn):
		c.goAway(http2.ErrCode(ofConn))
	case errors.Is(err, http2.ErrFrameTooLarge):
		c.goAway(http2.ErrCodeFrameSize)
	}
	c.mu.Lock()
	c.closed = true
	left, said := c.all(), c.leaving
	c.changed.Broadcast()
	c.mu.Unlock()
	for _, st := range left {
		st.abort()
	}
	if said {
		c.linger()
	}
	c.close()
}

// linger reads for a moment what the client still sends: closing on unread bytes
// would reset the connection under the last word to it.
func (c *conn2) linger() {
	// Answers that are still being written are nobody's, and keep the word back.
	_ = c.socket.SetWriteDeadline(time.Now().Add(time.Second))
	c.closeWrite()
	_ = c.socket.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = io.CopyN(io.Discard, c.socket, 1<<20)
}

// all returns the streams there are. c.mu is held.
func (c *conn2) all() []*stream {
	all := make([]*stream, 0, len(c.streams))
	for _, st := range c.streams {
		all = append(all, st)
	}
	return all
}

// greeting says what is expected of the client. It is what waits to be written from
// the beginning, so that nothing comes before it, RFC 9113 §3.4.
func greeting(s *Server) []byte {
	b := appendFrame(nil, http2.FrameSettings, 0, 0, 3*6)
	b = appendSetting(b, http2.SettingMaxConcurrentStreams, maxStreams)
	b = appendSetting(b, http2.SettingMaxHeaderListSize, uint32(s.maxHeader()))
	b = appendSetting(b, http2.SettingInitialWindowSize, uploadWindow)
	return appendWindowUpdate(b, 0, uploadWindow-65535)
}

// greet reads the client's preface, and sends the greeting.
func (c *conn2) greet() error {
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(&c.incoming, preface); err != nil {
		return err
	}
	if string(preface) != http2.ClientPreface {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	if err := c.control(nil); err != nil {
		return err
	}
	f, err := c.frames.ReadFrame()
	if err != nil {
		return err
	}
	settings, ok := f.(*http2.SettingsFrame)
	if !ok || settings.IsAck() {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	c.mu.Lock()
	c.rest()
	c.mu.Unlock()
	return c.takeSettings(settings)
}

// rest limits the time until the next request. c.mu is held.
func (c *conn2) rest() {
	limit := c.server.config.IdleTimeout
	if c.leaving {
		limit = awayGrace
	}
	c.limit.enter(idle, c.server.deadline(limit))
}

// take does what a frame asks for.
func (c *conn2) take(f http2.Frame) error {
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		return c.takeHeaders(f)
	case *http2.DataFrame:
		return c.takeData(f)
	case *http2.WindowUpdateFrame:
		return c.takeWindowUpdate(f)
	case *http2.RSTStreamFrame:
		return c.takeReset(f)
	case *http2.SettingsFrame:
		return c.takeSettings(f)
	case *http2.PingFrame:
		if f.IsAck() {
			return nil
		}
		if err := c.noteNuisance(); err != nil {
			return err
		}
		return c.control(append(appendFrame(nil, http2.FramePing, http2.FlagPingAck, 0, 8), f.Data[:]...))
	case *http2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
		}
		return c.noteNuisance()
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	default: // of GOAWAY too there is nothing to be done: the client will close
		return nil
	}
}

// noteNuisance ends connections whose client has too much of what costs it
// nothing.
func (c *conn2) noteNuisance() error {
	if now := c.server.clock.Load(); now-c.noted > 1000 {
		c.noted, c.nuisance = now, 0
	}
	c.nuisance++
	if c.nuisance > maxNuisance {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	return nil
}

func (c *conn2) takeSettings(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if err := c.noteNuisance(); err != nil {
		return err
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		if err := c.noteNuisance(); err != nil { // each may wake all streams
			return err
		}
		if s.ID == http2.SettingInitialWindowSize {
			return c.setInitialWindow(int64(s.Val))
		}
		return nil // the others leave us as we are
	})
	if err != nil {
		return err
	}
	return c.control(appendFrame(nil, http2.FrameSettings, http2.FlagSettingsAck, 0, 0))
}

// setInitialWindow changes the windows of all streams, RFC 9113 §6.9.2.
func (c *conn2) setInitialWindow(size int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	grown := size - c.initialWindow
	c.initialWindow = size
	for _, st := range c.streams {
		if st.window += grown; st.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
	}
	c.changed.Broadcast()
	return nil
}

func (c *conn2) takeWindowUpdate(f *http2.WindowUpdateFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	window, failed := &c.window, error(http2.ConnectionError(http2.ErrCodeFlowControl))
	if f.StreamID == 0 {
		c.widened = c.server.clock.Load()
	} else {
		st := c.streams[f.StreamID]
		if st == nil {
			return c.unlessIdle(f.StreamID)
		}
		window, failed = &st.window, http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeFlowControl}
	}
	if *window += int64(f.Increment); *window > maxWindow {
		return failed
	}
	if f.Increment < smallUpdate && c.waiting > fewWaiting {
		if err := c.noteNuisance(); err != nil {
			return err
		}
	}
	c.changed.Broadcast()
	return nil
}

// unlessIdle is the answer to a frame of a stream that there is none of: it has
// ended, or else was never opened, RFC 9113 §5.1. c.mu is held.
func (c *conn2) unlessIdle(id uint32) error {
	if id > c.lastID || id%2 == 0 {
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	return nil
}

func (c *conn2) takeReset(f *http2.RSTStreamFrame) error {
	c.mu.Lock()
	st := c.streams[f.StreamID]
	if st == nil {
		defer c.mu.Unlock()
		return c.unlessIdle(f.StreamID)
	}
	st.reset = true
	c.mu.Unlock()
	st.abort()
	return c.noteNuisance()
}

func (c *conn2) takeData(f *http2.DataFrame) error {
	length, padding := int64(f.Length), int64(f.Length)-int64(len(f.Data()))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unread += length; c.unread > uploadWindow {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	st := c.streams[f.StreamID]
	if st == nil || st.received || st.gone {
		c.credit(length)
		if slices.Contains(c.reset, f.StreamID) {
			return nil
		}
		if err := c.unlessIdle(f.StreamID); err != nil {
			return err
		}
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeStreamClosed}
	}
	c.credit(padding)
	if err := st.takeData(f.Data(), length, f.StreamEnded()); err != nil {
		c.credit(length - padding)
		return err
	}
	if len(f.Data()) == 0 && !f.StreamEnded() {
		return c.noteNuisance()
	}
	return nil
}

// credit lets the client send as much as was taken, once it is worth saying.
// c.mu is held; whoever lets go of it has what is pending written.
func (c *conn2) credit(n int64) {
	c.toCredit += n
	if c.toCredit >= uploadWindow/4 {
		c.pending = appendWindowUpdate(c.pending, 0, c.toCredit)
		c.unread, c.toCredit = c.unread-c.toCredit, 0
	}
}

func appendWindowUpdate(b []byte, id uint32, n int64) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, http2.FrameWindowUpdate, 0, id, 4), uint32(n))
}

func (c *conn2) takeHeaders(f *http2.MetaHeadersFrame) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.streams[f.StreamID]
	switch {
	case st != nil && st.gone:
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeStreamClosed}
	case st != nil:
		return st.takeTrailer(f)
	case f.StreamID <= c.lastID && slices.Contains(c.reset, f.StreamID):
		return nil
	case f.StreamID%2 == 0 || f.StreamID <= c.lastID:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	}
	former := c.lastID
	c.lastID = f.StreamID
	if f.HasPriority() && f.Priority.StreamDep == f.StreamID {
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
	}
	if max(c.active, len(c.streams)) >= maxStreams {
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeRefusedStream}
	}
	st, ok := c.newStream(f)
	if !ok {
		return http2.StreamError{StreamID: f.StreamID, Code: http2.ErrCodeProtocol}
	}
	if len(c.streams) == 0 && !c.limit.enter(inExchange, 0) {
		c.lastID = former
		return io.ErrClosedPipe // its idle time was up
	}
	c.streams[f.StreamID] = st
	if !st.waits() {
		st.start()
	}
	return nil
}

// refuse ends a stream with an error. A client that has it done again and again
// might as well end its streams itself.
func (c *conn2) refuse(id uint32, code http2.ErrCode) error {
	if err := c.noteNuisance(); err != nil {
		return err
	}
	c.mu.Lock()
	st := c.streams[id]
	if id%2 == 1 {
		c.lastID = max(c.lastID, id) // the header may be what was wrong
	}
	c.noteReset(id)
	if st != nil {
		st.reset = true
	}
	c.mu.Unlock()
	if st != nil {
		st.abort()
	}
	return c.control(appendReset(nil, id, code))
}

// noteReset notes that a stream was ended while the client had more to send.
// c.mu is held.
func (c *conn2) noteReset(id uint32) {
	if len(c.reset) < maxReset {
		c.reset = append(c.reset, id)
		return
	}
	c.reset[c.resets%maxReset] = id
	c.resets++
}

func appendReset(b []byte, id uint32, code http2.ErrCode) []byte {
	return binary.BigEndian.AppendUint32(appendFrame(b, http2.FrameRSTStream, 0, id, 4), uint32(code))
}

// goAway tells the client to open no more streams, RFC 9113 §6.8. Without an
// error those that it has opened meanwhile are answered.
func (c *conn2) goAway(code http2.ErrCode) {
	c.mu.Lock()
	last := c.lastID
	if code == http2.ErrCodeNo {
		if c.leaving {
			c.mu.Unlock()
			return
		}
		last = maxWindow
	}
	c.leaving = true
	if len(c.streams) == 0 {
		c.rest()
	}
	c.mu.Unlock()
	_ = c.control(appendGoAway(nil, last, code))
}

// leave tells the client, when it is too late for more streams, which ones were
// read: it may open the others elsewhere.
func (c *conn2) leave() {
	c.mu.Lock()
	last := c.lastID
	c.leaving = true
	c.mu.Unlock()
	_ = c.control(appendGoAway(nil, last, http2.ErrCodeNo))
	c.closeWrite()
}

// closeWrite ends what is sent, behind what waits to be: whoever is writing writes
// that before somebody else can.
func (c *conn2) closeWrite() {
	c.writing.Lock()
	defer c.writing.Unlock()
	if w, ok := c.net.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
}

func appendGoAway(b []byte, last uint32, code http2.ErrCode) []byte {
	b = binary.BigEndian.AppendUint32(appendFrame(b, http2.FrameGoAway, 0, 0, 8), last)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

// forget ends a stream. c.mu is held.
func (c *conn2) forget(st *stream) {
	if c.streams[st.id] != st {
		return
	}
	delete(c.streams, st.id)
	if len(c.streams) == 0 {
		c.rest()
	}
}

// control writes frames that are not of an answer, or leaves them to whoever is
// writing: nobody waits for a client who does not read.
func (c *conn2) control(b []byte) error {
	c.mu.Lock()
	c.pending = append(c.pending, b...)
	n, closed := len(c.pending), c.closed
	c.mu.Unlock()
	switch {
	case n == 0:
		return nil
	case closed || n > maxPending:
		return io.ErrClosedPipe
	case !c.writing.TryLock():
		return nil // whoever writes looks again
	}
	return c.release(nil)
}

// write writes frames.
func (c *conn2) write(b []byte) error {
	c.writing.Lock()
	return c.release(c.put(b))
}

// put writes frames. c.writing is held.
func (c *conn2) put(b []byte) error {
	_, err := c.net.Write(b)
	return err
}

// release writes what others have left to be written, and lets them write.
func (c *conn2) release(err error) error {
	for {
		c.mu.Lock()
		b := c.pending
		c.pending = nil
		if len(b) == 0 || err != nil {
			c.writing.Unlock() // under mu: what comes later is not left to us
			c.mu.Unlock()
			return err
		}
		c.mu.Unlock()
		err = c.put(b)
	}
}

// look is the warden's. Small bodies that take their time are not waited for any
// longer.
func (c *conn2) look(now int64) {
	var stalled []*stream
	c.mu.Lock()
	all := c.all()
	for _, st := range all {
		if !st.started && now-st.opened > tick.Milliseconds() {
			st.start()
		}
		if st.stalls(now) {
			stalled = append(stalled, st)
		}
	}
	c.mu.Unlock()
	for _, st := range all {
		st.watch.look(now)
	}
	for _, st := range stalled {
		st.own.interrupt(wire.ErrClientGone)
	}
}

// interrupt cuts what is under way.
func (c *conn2) interrupt(cause error) {
	c.mu.Lock()
	all := c.all()
	c.mu.Unlock()
	for _, st := range all {
		st.watch.interrupt(cause)
	}
}

func appendFrame(b []byte, kind http2.FrameType, flags http2.Flags, id uint32, length int) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(b, id)
}

func appendSetting(b []byte, id http2.SettingID, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, uint16(id)), value)
}
