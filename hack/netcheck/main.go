// Netcheck is what cluster-test.sh runs in pods: a server that tells its name, and a client that asks for it.
//
//	netcheck serve          answer on :8080
//	netcheck ask URL...     ask each URL until it answers, for a minute together; fail if one does not
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == "ask" {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, url := range os.Args[2:] {
			if err := askUntilAnswered(ctx, url); err != nil {
				fmt.Println("failed to ask", url+":", err)
				os.Exit(1)
			}
		}
		return
	}
	err := serve()
	fmt.Println("failed to serve:", err)
	os.Exit(1)
}

func serve() error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	fmt.Println("serving as", name)
	return http.ListenAndServe(":8080", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, name)
	}))
}

// A Service answers a moment after its pods are Ready: rules have to reach every node first.
func askUntilAnswered(ctx context.Context, url string) error {
	for {
		answer, err := ask(ctx, url)
		if err == nil {
			fmt.Println(url, "answered:", answer)
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", response.Status)
	}
	return strings.TrimSpace(string(body)), err
}
