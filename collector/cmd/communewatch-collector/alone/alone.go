// Package alone is the command that runs a reflector without a collector, beside a conference hub.
package alone

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"communewatch/collector/farend"
	"communewatch/probes/webrtc/reflector"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// alone is a reflector without a collector.
type alone struct {
	listen, media string
	tokens        []string
	tokenFile     string
	addresses     []string
	certFile, key string
	limits        reflector.Limits
	verbose       bool
	ready         func(listen, media string) // nil, or told when it listens
}

// Command returns the command `reflector`.
func Command() *cobra.Command {
	var a alone
	a.limits = reflector.DefaultLimits()
	cmd := &cobra.Command{
		Use: "reflector --listen ADDR --media ADDR (--token-file FILE | --token TOKEN)", DisableFlagsInUseLine: true,
		Short: "Run the far end of test calls alone, beside a conference hub",
		Long: "Takes calls by WHIP (RFC 9725) at /whip/echo and sends their media back. The same is in every collector; run it\n" +
			"alone where calls should end at another machine.",
		Example: `  communewatch-collector reflector --listen 192.0.2.20:8787 --media 192.0.2.20:8788 \
      --token-file /etc/communewatch/reflector-tokens --cert reflector.pem --key reflector.key`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			level := slog.LevelInfo
			if a.verbose {
				level = slog.LevelDebug
			}
			a.ready = func(listen, media string) {
				scheme := "http"
				if a.certFile != "" {
					scheme = "https"
				}
				fmt.Fprintf(cmd.OutOrStdout(), "calls at %s://%s%s, media at %s (UDP and TCP)\n", scheme, listen, reflector.EchoPath, media)
			}
			if cmd.Flags().Changed("token") {
				fmt.Fprintln(cmd.ErrOrStderr(), "warning: everybody on this machine can read --token from the list of processes; --token-file keeps it")
			}
			return a.run(cmd.Context(), slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: level})))
		},
	}
	f := cmd.Flags()
	f.StringVar(&a.listen, "listen", "127.0.0.1:8787", "address and port of the signalling, HTTP or with --cert HTTPS")
	f.StringVar(&a.media, "media", "127.0.0.1:8788", "address and port of the media, UDP and TCP")
	f.StringArrayVar(&a.tokens, "token", nil, "`token` that callers need; may be given several times")
	f.StringVar(&a.tokenFile, "token-file", "", "`file` with such tokens, one a line")
	f.StringArrayVar(&a.addresses, "address", nil, "`address` under which callers reach the media's port, where a NAT stands before it; one of IPv4 and one of IPv6 at most")
	f.StringVar(&a.certFile, "cert", "", "PEM `file` with the certificate and its chain")
	f.StringVar(&a.key, "key", "", "PEM `file` with its key")
	f.IntVar(&a.limits.Sessions, "max-sessions", a.limits.Sessions, "calls at once")
	f.IntVar(&a.limits.MBPS, "max-mbps", a.limits.MBPS, "Mbit/s sent, above which no further call is taken")
	f.IntVar(&a.limits.SessionMBPS, "session-mbps", a.limits.SessionMBPS, "Mbit/s that one call may send")
	f.DurationVar(&a.limits.Lifetime, "max-lifetime", a.limits.Lifetime, "of a call, 5m to 24h")
	f.BoolVar(&a.verbose, "debug", false, "log more")
	return cmd
}

func (a *alone) options(log *slog.Logger, metrics *prometheus.Registry) (reflector.Options, error) {
	o := reflector.Options{Media: a.media, Tokens: a.tokens, Limits: a.limits, Log: log, Metrics: metrics}
	if a.tokenFile != "" {
		more, err := reflector.ReadTokens(a.tokenFile)
		if err != nil {
			return o, fmt.Errorf("--token-file: %w", err)
		}
		o.Tokens = append(o.Tokens, more...)
	}
	if len(o.Tokens) == 0 {
		return o, errors.New("give --token-file FILE, or --token TOKEN: without a token nobody may call")
	}
	var err error
	if o.Addresses, err = reflector.ParseAddresses(a.addresses); err != nil {
		return o, fmt.Errorf("--address: %w", err)
	}
	for name, n := range map[string]int{"max-sessions": a.limits.Sessions, "max-mbps": a.limits.MBPS, "session-mbps": a.limits.SessionMBPS} {
		if n < 1 {
			return o, fmt.Errorf("--%s: %d: must be 1 or more", name, n)
		}
	}
	if err := farend.CheckLifetime(a.limits.Lifetime); err != nil {
		return o, fmt.Errorf("--max-lifetime: %v: %w", a.limits.Lifetime, err)
	}
	o.Limits.Handshakes = (a.limits.Sessions + 1) / 2
	if (a.certFile == "") != (a.key == "") {
		return o, errors.New("--cert and --key go together")
	}
	return o, nil
}

// run serves until ctx ends.
func (a *alone) run(ctx context.Context, log *slog.Logger) (err error) {
	metrics := prometheus.NewRegistry()
	o, err := a.options(log, metrics)
	if err != nil {
		return err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.certFile != "" {
		pair, err := tls.LoadX509KeyPair(a.certFile, a.key)
		if err != nil {
			return fmt.Errorf("--cert: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	listener, err := net.Listen("tcp", a.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer listener.Close()
	if host, _, _ := net.SplitHostPort(listener.Addr().String()); a.certFile == "" && !net.ParseIP(host).IsLoopback() {
		log.Warn("tokens travel in the clear: give --cert and --key, or put a reverse proxy with TLS in front", "listen", listener.Addr().String())
	}
	r, err := reflector.Open(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	mux := http.NewServeMux()
	mux.Handle("/whip/", r.Handler())
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	server := &http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10, TLSConfig: config,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), // scanners and aborted handshakes
	}
	group, run := errgroup.WithContext(ctx)
	group.Go(func() error { return r.Run(run) })
	group.Go(func() error {
		var err error
		if a.certFile != "" {
			err = server.ServeTLS(listener, "", "")
		} else {
			err = server.Serve(listener)
		}
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	})
	group.Go(func() error {
		<-run.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if server.Shutdown(drain) != nil {
			return server.Close()
		}
		return nil
	})
	a.ready(listener.Addr().String(), r.MediaAddr().String())
	return group.Wait()
}
