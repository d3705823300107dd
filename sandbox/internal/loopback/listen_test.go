package loopback

import "testing"

func TestThePreferredPortIsGivenOnlyWhileFree(t *testing.T) {
	first, err := Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	port := Port(first)
	second, err := Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	if Port(second) == port {
		t.Error("a taken port was given")
	}
	second.Close()
	first.Close()
	again, err := Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if Port(again) != port {
		t.Errorf("the free port %d was not given, but %d", port, Port(again))
	}
}
