package clients

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// binDir is where programs are built.
var binDir string

// built is the kubectl of cmd/kubectl. Its version is stamped with the server's minor, so that it has no skew to warn of.
var built = sync.OnceValues(func() (string, error) {
	const version = "k8s.io/component-base/version."
	stamp := "-X " + version + "gitVersion=v1.36.6 -X " + version + "gitMajor=1 -X " + version + "gitMinor=36"
	path := filepath.Join(binDir, "kubectl")
	out, err := exec.Command("go", "build", "-ldflags", stamp, "-o", path, "./cmd/kubectl").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// kubectl is a command with the server, home and namespace it works on.
type kubectl struct {
	t          *testing.T
	bin        string
	kubeconfig string
	home       string
	namespace  string
	env        []string
}

// eachKubectl runs a test with the kubectl of this module and, where there is one, with the kubectl on PATH.
func eachKubectl(t *testing.T, s *server, test func(t *testing.T, k *kubectl)) {
	t.Helper()
	t.Parallel()
	current, err := built()
	if err != nil {
		t.Fatal(err)
	}
	arms := map[string]string{"current": current}
	if found, err := exec.LookPath("kubectl"); err == nil {
		arms["path"] = found
	}
	for name, bin := range arms {
		t.Run(name, func(t *testing.T) {
			k := &kubectl{t: t, bin: bin, home: t.TempDir(), namespace: s.namespace(t)}
			k.kubeconfig = kubeconfigFor(t, s, k.home, k.namespace)
			test(t, k)
		})
	}
}

// kubeconfigFor is a copy of the server's kubeconfig whose default namespace is this one.
func kubeconfigFor(t *testing.T, s *server, dir, namespace string) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(s.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts[config.CurrentContext].Namespace = namespace
	path := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// command is the call with these arguments, not yet started.
func (k *kubectl) command(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, k.bin, args...)
	cmd.Env = append(os.Environ(), "HOME="+k.home, "KUBECONFIG="+k.kubeconfig)
	cmd.Env = append(cmd.Env, k.env...)
	return cmd
}

// run calls kubectl with standard input and returns both outputs and the error.
func (k *kubectl) run(stdin string, args ...string) (string, string, error) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	cmd := k.command(ctx, args)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	return out.String(), errs.String(), err
}

// ok calls kubectl, which must succeed without a word on stderr, and returns its output.
func (k *kubectl) ok(args ...string) string {
	k.t.Helper()
	return k.okWith("", args...)
}

// okWith is ok with standard input.
func (k *kubectl) okWith(stdin string, args ...string) string {
	k.t.Helper()
	out, errs, err := k.run(stdin, args...)
	if err != nil {
		k.t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, out, errs)
	}
	if errs != "" {
		k.t.Errorf("kubectl %s says: %s", strings.Join(args, " "), errs)
	}
	return out
}

// says calls kubectl, which must succeed and whose output must have these parts.
func (k *kubectl) says(wants []string, args ...string) string {
	k.t.Helper()
	out := k.ok(args...)
	for _, want := range wants {
		if !strings.Contains(squeeze(out), want) {
			k.t.Errorf("kubectl %s: no %q in:\n%s", strings.Join(args, " "), want, out)
		}
	}
	return out
}

// is calls kubectl, whose output must be this.
func (k *kubectl) is(want string, args ...string) {
	k.t.Helper()
	if out := strings.TrimSpace(k.ok(args...)); out != want {
		k.t.Errorf("kubectl %s: want %q, got:\n%s", strings.Join(args, " "), want, out)
	}
}

// fails calls kubectl, which must fail with this among its words.
func (k *kubectl) fails(want string, args ...string) {
	k.t.Helper()
	k.failsWith("", want, args...)
}

// failsWith is fails with standard input.
func (k *kubectl) failsWith(stdin, want string, args ...string) {
	k.t.Helper()
	out, errs, err := k.run(stdin, args...)
	if err == nil {
		k.t.Fatalf("kubectl %s: no error; said %s%s", strings.Join(args, " "), out, errs)
	}
	if !strings.Contains(errs+out, want) {
		k.t.Errorf("kubectl %s: no %q in:\n%s%s", strings.Join(args, " "), want, errs, out)
	}
}

// stream starts kubectl and returns its lines as they come; it ends with the test.
func (k *kubectl) stream(args ...string) <-chan string {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), patience)
	cmd := k.command(ctx, args)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		k.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			lines <- squeeze(scanner.Text())
		}
	}()
	k.t.Cleanup(func() {
		cancel()
		cmd.Wait()
	})
	return lines
}

// awaitLine reads lines until one has this part.
func awaitLine(t *testing.T, lines <-chan string, want string) {
	t.Helper()
	var seen []string
	for line := range lines {
		seen = append(seen, line)
		if strings.Contains(line, want) {
			return
		}
	}
	t.Fatalf("no %q in:\n%s", want, strings.Join(seen, "\n"))
}

// squeeze makes one space of many, so that columns can be compared.
func squeeze(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return strings.Join(lines, "\n")
}
