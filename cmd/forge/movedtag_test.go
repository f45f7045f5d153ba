package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// engineOf readies an engine of this host, with folders of its own, and says which it is for pull.
func engineOf(t *testing.T, program string) string {
	t.Helper()
	_, err := exec.LookPath(program)
	if err != nil || os.Geteuid() != 0 {
		if os.Getenv("FORGE_TEST_ALL") != "" && os.Geteuid() == 0 {
			t.Fatal(err)
		}
		t.Skipf("%s, as root, is needed", program)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if program == "podman" {
		t.Setenv("CONTAINERS_STORAGE_CONF", write("storage.conf", fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(dir, "root"), filepath.Join(dir, "run"))))
		// The locks in shared memory are the real root's, who this user is not in a user namespace.
		t.Setenv("CONTAINERS_CONF", write("containers.conf", "[engine]\ncgroup_manager = \"cgroupfs\"\nlock_type = \"file\"\n"))
		return "podman"
	}
	if program == "dockerd" {
		return dockerEngine(t)
	}
	config := write("config.toml", fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.internal.v1.opt\"]\n[grpc]\n  address = %q\n[ttrpc]\n  address = %q\n",
		filepath.Join(dir, "root"), filepath.Join(dir, "state"), filepath.Join(dir, "sock"), filepath.Join(dir, "ttrpc")))
	daemon := exec.Command("containerd", "--config", config)
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Signal(os.Interrupt)
		_ = daemon.Wait() // it was interrupted
	})
	t.Setenv("CONTAINERD_ADDRESS", filepath.Join(dir, "sock"))
	for range 200 {
		if exec.Command("ctr", "version").Run() == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return "containerd:forge"
}

// dockerEngine starts a Docker engine with folders of its own, in which nothing is executed.
func dockerEngine(t *testing.T) string {
	dir, err := os.MkdirTemp("", "forge-docker") // the test's own folder has a name too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	host := "unix://" + filepath.Join(dir, "docker.sock")
	t.Setenv("DOCKER_HOST", host)
	t.Setenv("PATH", "/usr/bin:"+os.Getenv("PATH")) // the engine's own client
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("dockerd", "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"),
		"--host", host, "--bridge", "none", "--iptables=false", "--ip-forward=false")
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Signal(os.Interrupt)
		_ = daemon.Wait() // it was interrupted
		log.Close()
		if t.Failed() {
			raw, _ := os.ReadFile(log.Name())
			t.Logf("dockerd: %s", raw[max(0, len(raw)-2000):])
		}
		mounts, err := os.ReadFile("/proc/mounts")
		if err != nil {
			t.Error(err)
		}
		for line := range strings.Lines(string(mounts)) {
			if at := strings.Fields(line)[1]; strings.HasPrefix(at, dir+"/") {
				_ = exec.Command("umount", "-l", at).Run() // or the folder below it stays, which is an error
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for range 300 {
		if exec.Command("docker", "version").Run() == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "docker"
}

// A25: the tag moves once it was asked for. What an engine gets, under the tag's name, is the image
// that was verified.
func TestAnEngineGetsWhatWasVerifiedAlthoughTheTagMoved(t *testing.T) {
	for _, program := range []string{"podman", "containerd", "dockerd"} {
		t.Run(program, func(t *testing.T) {
			engine := engineOf(t, program)
			t.Setenv("DOCKER_CONFIG", t.TempDir())
			repo, image, public, _ := tagThatMoves(t)
			want, err := remote.Image(image)
			if err != nil {
				t.Fatal(err)
			}
			id, err := want.ConfigName()
			if err != nil {
				t.Fatal(err)
			}
			out, errs, code := forgeRun(t, "pull", "--key", public, "--to", engine, repo.Name()+":1")
			if code != 0 || out != image.String()+"\n" {
				t.Fatalf("exit %d, %q: %s", code, out, errs)
			}
			if engine != "containerd:forge" {
				out, errs, _ = runCommand(t, engine, "image", "inspect", "--format", "{{.Id}}", repo.Name()+":1")
				if strings.TrimPrefix(out, "sha256:") != id.Hex+"\n" {
					t.Errorf("it holds %q, want %s: %s", out, id, errs)
				}
				return
			}
			out, errs, _ = runCommand(t, "ctr", "--namespace", "forge", "images", "list")
			if !strings.Contains(out, repo.Name()+":1 ") || !strings.Contains(out, image.DigestStr()) || strings.Count(out, "\n") != 2 {
				t.Errorf("it holds %q, want %s: %s", out, image, errs)
			}
		})
	}
}
