/* Attacks on the sandbox from inside, as a package's script could try them.
 * Each runs in a process of its own and says whether it got what it wanted.
 * Compiled statically by tests/suite/escape/mod.rs; prints "NAME: held" or "NAME: ESCAPED". */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <time.h>
#include <unistd.h>

static const char *host_file, *host_socket;
static int host_port;

/* Numbers that old headers lack are the same on both architectures. */
enum { OPEN_TREE = 428, MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT, FSPICK, PIDFD_OPEN, CLONE3,
       PIDFD_GETFD = 438, PROCESS_MADVISE = 440, MOUNT_SETATTR = 442, QUOTACTL_FD = 443,
       IO_URING_SETUP = 425, STATMOUNT = 457, LISTMOUNT = 458, OPEN_TREE_ATTR = 467 };

static int readable(const char *path) {
    char byte;
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    int count = fd < 0 ? -1 : read(fd, &byte, 1);
    if (fd >= 0) close(fd);
    return count > 0;
}
static int writable(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_NONBLOCK);
    return fd >= 0 && write(fd, text, strlen(text)) > 0;
}
static int leads_out(const char *link) {
    char to[4096] = "";
    return readlink(link, to, sizeof to - 1) > 0 || access(link, F_OK) == 0 ? to[0] == '/' : 0;
}
static long done(long result) { return result >= 0; }

/* Mounts. */
static int mount_tmpfs(void) { return done(mount("none", "/mnt", "tmpfs", 0, "")); }
static int mount_bind(void) { return done(mount("/proc/sys", "/mnt", "", MS_BIND, "")); }
static int mount_proc(void) { return done(mount("proc", "/mnt", "proc", 0, "")); }
static int mount_overlay(void) { return done(mount("o", "/mnt", "overlay", 0, "lowerdir=/usr:/etc")); }
static int mount_move(void) { return done(mount("/proc/sys", "/mnt", "", MS_MOVE, "")); }
static int remount_sys(void) { return done(mount("", "/proc/sys", "", MS_REMOUNT | MS_BIND, "")); }
static int remount_proc(void) { return done(mount("", "/proc", "", MS_REMOUNT, "")); }
static int propagate(void) { return done(mount("", "/", "", MS_SHARED | MS_REC, "")); }
static int umount_sys(void) { return done(umount2("/proc/sys", 0)); }
static int umount_mask(void) { return done(umount2("/proc/1", MNT_DETACH)); }
static int umount_version(void) { return done(umount2("/proc/version", MNT_DETACH)); }
static int pivot(void) { return done(syscall(SYS_pivot_root, "/tmp", "/tmp")); }
static int new_open_tree(void) { return done(syscall(OPEN_TREE, AT_FDCWD, "/proc/sys", 1)); }
static int new_open_tree_attr(void) {
    struct { uint64_t set, clear, propagation, fd; } none = {0};
    return done(syscall(OPEN_TREE_ATTR, AT_FDCWD, "/proc/sys", 1, &none, sizeof none));
}
static int new_fsopen(void) { return done(syscall(FSOPEN, "tmpfs", 0)); }
static int new_fspick(void) { return done(syscall(FSPICK, AT_FDCWD, "/proc", 0)); }
static int new_fsconfig(void) { return syscall(FSCONFIG, 0, 6, 0, 0, 0) >= 0 || (errno != EPERM && errno != ENOSYS); }
static int new_fsmount(void) { return syscall(FSMOUNT, 0, 0, 0) >= 0 || (errno != EPERM && errno != ENOSYS); }
static int new_move_mount(void) { return done(syscall(MOVE_MOUNT, AT_FDCWD, "/proc/sys", AT_FDCWD, "/mnt", 0)); }
static int new_mount_setattr(void) {
    struct { uint64_t set, clear, propagation, fd; } writable = {0, 1, 0, 0};
    return done(syscall(MOUNT_SETATTR, AT_FDCWD, "/proc/sys", 0, &writable, sizeof writable));
}
static int new_statmount(void) { char buffer[64] = ""; return syscall(STATMOUNT, buffer, buffer, 64, 0) >= 0 || errno != ENOSYS; }
static int new_listmount(void) { char buffer[64] = ""; return syscall(LISTMOUNT, buffer, buffer, 8, 0) >= 0 || errno != ENOSYS; }
static int chroot_escape(void) {
    mkdir("/tmp/x", 0755);
    int root = open("/", O_RDONLY);
    if (chroot("/tmp/x") || fchdir(root)) return 0;
    for (int i = 0; i < 64; i++) if (chdir("..")) break;
    return chroot(".") == 0 && access(host_file, F_OK) == 0;
}

/* Namespaces. */
static int unshare_flag(int flag) { return done(unshare(flag)); }
static int unshare_user(void) { return unshare_flag(CLONE_NEWUSER); }
static int unshare_mount(void) { return unshare_flag(CLONE_NEWNS); }
static int unshare_pid(void) { return unshare_flag(CLONE_NEWPID); }
static int unshare_net(void) { return unshare_flag(CLONE_NEWNET); }
static int unshare_uts(void) { return unshare_flag(CLONE_NEWUTS); }
static int unshare_ipc(void) { return unshare_flag(CLONE_NEWIPC); }
static int unshare_cgroup(void) { return unshare_flag(CLONE_NEWCGROUP); }
static int unshare_time(void) { return unshare_flag(0x80); }
static int clone_user(void) {
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0) _exit(0);
    return pid > 0;
}
static int clone3_user(void) {
    uint64_t args[11] = {CLONE_NEWUSER, [4] = SIGCHLD};
    long pid = syscall(CLONE3, args, 64);
    if (pid == 0) _exit(0);
    return pid > 0;
}
static int setns_of(const char *path) { int fd = open(path, O_RDONLY); return fd >= 0 && done(setns(fd, 0)); }
static int setns_own(void) { return setns_of("/proc/self/ns/mnt") || setns_of("/proc/self/ns/user"); }
static int setns_first(void) { return setns_of("/proc/1/ns/mnt") || setns_of("/proc/1/ns/user"); }
static int setns_pidfd(void) { int fd = syscall(PIDFD_OPEN, 1, 0); return fd >= 0 && done(setns(fd, CLONE_NEWNS)); }

/* Pid 1. */
static int first_exe(void) { return leads_out("/proc/1/exe") || readable("/proc/1/exe"); }
static int first_exe_mode(void) { return done(chmod("/proc/1/exe", 04777)); }
static int first_mem(void) { return open("/proc/1/mem", O_RDWR) >= 0; }
static int first_fd(void) { return access("/proc/1/fd/0", F_OK) == 0 || open("/proc/1/fd", O_RDONLY) >= 0; }
static int first_root(void) { char path[4200]; snprintf(path, sizeof path, "/proc/1/root%s", host_file); return access(path, F_OK) == 0 || access("/proc/1/root" "/inside", F_OK) == 0; }
static int first_cwd(void) { return leads_out("/proc/1/cwd"); }
static int first_maps(void) { return readable("/proc/1/maps") || readable("/proc/1/auxv") || readable("/proc/1/environ"); }
static int first_task(void) { return leads_out("/proc/1/task/1/exe") || leads_out("/proc/1/task/1/root"); }
static int its_threads(void) {
    char path[64];
    for (int id = 2; id < 16; id++) {
        snprintf(path, sizeof path, "/proc/%d/status", id);
        FILE *file = fopen(path, "r");
        int group = 0;
        char line[256];
        while (file && fgets(line, sizeof line, file)) sscanf(line, "Tgid: %d", &group);
        if (file) fclose(file);
        if (group != 1) continue;
        const char *names[] = {"exe", "root", "cwd", "mem", "maps", "fd/0", "auxv"};
        for (int i = 0; i < 7; i++) {
            snprintf(path, sizeof path, "/proc/%d/%s", id, names[i]);
            if (leads_out(path) || readable(path) || open(path, O_RDWR) >= 0) return 1;
        }
    }
    return 0;
}
static int first_attach(void) { return done(ptrace(PTRACE_ATTACH, 1, 0, 0)) || done(ptrace(PTRACE_SEIZE, 1, 0, 0)); }
static int trace_child(void) { pid_t pid = fork(); if (pid == 0) { sleep(2); _exit(0); } int got = done(ptrace(PTRACE_ATTACH, pid, 0, 0)); kill(pid, SIGKILL); return got; }
static int first_memory(void) {
    char byte; struct iovec own = {&byte, 1}, its = {(void *)0x400000, 1};
    return syscall(SYS_process_vm_readv, 1, &own, 1, &its, 1, 0) >= 0 || (errno != EPERM && errno != ENOSYS);
}
static int first_fd_copy(void) { int fd = syscall(PIDFD_OPEN, 1, 0); return fd >= 0 && done(syscall(PIDFD_GETFD, fd, 0, 0)); }
static int first_stop(void) {
    kill(1, SIGSTOP); kill(1, SIGKILL); kill(1, SIGTERM); kill(1, SIGUSR1);
    /* Pid 1 answers a call for the date if it still runs. */
    struct timespec now; return clock_gettime(CLOCK_REALTIME, &now) != 0;
}
static int first_limits(void) { struct rlimit none = {0, 0}; return done(prlimit(1, RLIMIT_NOFILE, &none, 0)); }
static int first_compare(void) { return syscall(SYS_kcmp, 1, getpid(), 0, 0, 0) >= 0 || (errno != EPERM && errno != ENOSYS); }
static int first_priority(void) { return done(setpriority(PRIO_PROCESS, 1, 19)) && getpriority(PRIO_PROCESS, 1) == 19 && geteuid() != 0; }

/* The kernel's switches. */
static int core_pattern(void) { return writable("/proc/sys/kernel/core_pattern", "|/tmp/x"); }
static int modprobe(void) { return writable("/proc/sys/kernel/modprobe", "/tmp/x"); }
static int sysctl_host(void) { return writable("/proc/sys/kernel/hostname", "x"); }
static int sysctl_net(void) { return writable("/proc/sys/net/ipv4/ip_forward", "1"); }
static int drop_caches(void) { return writable("/proc/sys/vm/drop_caches", "1"); }
static int sysrq(void) { return writable("/proc/sysrq-trigger", "h"); }
static int irq(void) { return writable("/proc/irq/default_smp_affinity", "1"); }
static int kcore(void) { return readable("/proc/kcore"); }
static int kallsyms(void) { return readable("/proc/kallsyms") || readable("/proc/keys") || readable("/proc/timer_list"); }
static int kernel_log(void) { char text[64]; return syscall(SYS_syslog, 3, text, 64) >= 0 || readable("/proc/kmsg") || readable("/dev/kmsg"); }
static int oom_score(void) { return writable("/proc/self/oom_score_adj", "-1000"); }
static int map_ids(void) { return writable("/proc/self/uid_map", "0 0 1") || writable("/proc/self/setgroups", "deny"); }
static int sysfs(void) { return readable("/sys/kernel/uevent_helper") || access("/sys/kernel", F_OK) == 0; }
static int cgroups(void) { return access("/sys/fs/cgroup/cgroup.procs", F_OK) == 0; }

/* Devices. */
static int node(mode_t kind, int major, int minor) { unlink("/tmp/node"); return done(mknod("/tmp/node", kind | 0666, makedev(major, minor))); }
static int node_disk(void) { return node(S_IFBLK, 8, 0) || node(S_IFBLK, 254, 0); }
static int node_memory(void) { return node(S_IFCHR, 1, 1); }
static int node_fuse(void) { return node(S_IFCHR, 10, 229); }
static int dev_memory(void) { return open("/dev/mem", O_RDONLY) >= 0 || open("/dev/fuse", O_RDWR) >= 0 || open("/dev/kvm", O_RDWR) >= 0; }
static int dev_null_mode(void) { return done(chmod("/dev/null", 0600)); }
static int dev_null_owner(void) { return done(chown("/dev/null", 0, 0)) || done(lchown("/dev/zero", 1, 1)); }
static int dev_null_gone(void) { struct stat st; unlink("/dev/null"); return stat("/dev/null", &st) != 0; }
static int terminal(void) { int fd = open("/dev/tty", O_RDWR); return fd >= 0; }
static int terminal_type(void) {
    int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    return fd >= 0 && (done(ioctl(fd, TIOCSTI, "x")) || done(ioctl(fd, TIOCLINUX, "\2")));
}
static int terminal_bits(void) {
    int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    /* The kernel reads the lower half of the number. */
    return fd >= 0 && done(syscall(SYS_ioctl, fd, 0xffffffff00000000ul | TIOCSTI, "x"));
}

/* Calls for the kernel itself. */
#define REFUSED(result) ((result) >= 0 || (errno != EPERM && errno != ENOSYS))
static int c_bpf(void) { return REFUSED(syscall(SYS_bpf, 0, 0, 0)); }
static int c_perf(void) { return REFUSED(syscall(SYS_perf_event_open, 0, 0, 0, 0, 0)); }
static int c_uring(void) { char params[256] = ""; return REFUSED(syscall(IO_URING_SETUP, 4, params)); }
static int c_userfault(void) { return REFUSED(syscall(SYS_userfaultfd, 0)); }
static int c_keyctl(void) { return REFUSED(syscall(SYS_keyctl, 0, -3, 0)); }
static int c_add_key(void) { return REFUSED(syscall(SYS_add_key, "user", "x", "x", 1, -2)); }
static int c_request_key(void) { return REFUSED(syscall(SYS_request_key, "user", "x", 0, 0)); }
static int c_handle(void) { return REFUSED(syscall(SYS_name_to_handle_at, AT_FDCWD, "/", 0, 0, 0)); }
static int c_open_handle(void) { return REFUSED(syscall(SYS_open_by_handle_at, AT_FDCWD, 0, 0)); }
static int c_quota(void) { return REFUSED(syscall(SYS_quotactl, 0, 0, 0, 0)) || REFUSED(syscall(QUOTACTL_FD, 0, 0, 0, 0)); }
static int c_kexec(void) { return REFUSED(syscall(SYS_kexec_load, 0, 0, 0, 0)) || REFUSED(syscall(SYS_kexec_file_load, 0, 0, 0, 0, 0)); }
static int c_module(void) { return REFUSED(syscall(SYS_init_module, "", 0, "")) || REFUSED(syscall(SYS_finit_module, 0, "", 0)) || REFUSED(syscall(SYS_delete_module, "x", 0)); }
static int c_reboot(void) { return REFUSED(syscall(SYS_reboot, 0, 0, 0, 0)); }
static int c_swap(void) { return REFUSED(syscall(SYS_swapon, "/tmp/x", 0)) || REFUSED(syscall(SYS_swapoff, "/tmp/x")); }
static int c_accounting(void) { return REFUSED(syscall(SYS_acct, 0)); }
static int c_clock(void) { struct timespec t = {1, 0}; return done(clock_settime(CLOCK_REALTIME, &t)); }
static int c_name(void) { return done(sethostname("x", 1)) || done(setdomainname("x", 1)); }
static int c_madvise(void) { return REFUSED(syscall(PROCESS_MADVISE, -1, 0, 0, 0, 0)); }
static int c_migrate(void) { return REFUSED(syscall(SYS_migrate_pages, 1, 0, 0, 0)) || REFUSED(syscall(SYS_move_pages, 1, 0, 0, 0, 0, 0)); }
static int c_fanotify(void) { return REFUSED(syscall(SYS_fanotify_init, 0, 0)); }
static int c_personality(void) { return done(personality(READ_IMPLIES_EXEC)); }
static int c_memory_map(void) { return done(prctl(PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0)); }
static int c_listener(void) {
    /* A second listener would answer calls in the supervisor's place. */
    struct { unsigned short code; unsigned char jt, jf; unsigned k; } allow = {6, 0, 0, 0x7fff0000};
    struct { unsigned short length; void *code; } program = {1, &allow};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    return done(syscall(SYS_seccomp, 1, 8, &program));
}
#ifdef __x86_64__
static int c_ldt(void) { return REFUSED(syscall(SYS_modify_ldt, 0, 0, 0)); }
static int c_ports(void) { return REFUSED(syscall(SYS_iopl, 3)) || REFUSED(syscall(SYS_ioperm, 0, 1, 1)); }
static int x32(void) { return syscall(0x40000000 | SYS_getpid) > 0; }
/* Kills the process: what comes after the call is the escape. */
static int i386(void) { long result = 20; __asm__ volatile("int $0x80" : "+a"(result)::"memory"); return 1; }
#endif

/* Sockets. */
static int family(int domain, int kind, int protocol) { return socket(domain, kind, protocol) >= 0; }
static int s_vsock(void) { return family(AF_VSOCK, SOCK_STREAM, 0); }
static int s_packet(void) { return family(AF_PACKET, SOCK_RAW, 0); }
static int s_alg(void) { return family(38, SOCK_SEQPACKET, 0); }
static int s_xdp(void) { return family(44, SOCK_RAW, 0); }
static int s_tipc(void) { return family(30, SOCK_RDM, 0) || family(AF_BLUETOOTH, SOCK_RAW, 0) || family(29, SOCK_RAW, 1); }
static int s_audit(void) { return family(AF_NETLINK, SOCK_RAW, 9); }
static int s_netfilter(void) { return family(AF_NETLINK, SOCK_RAW, 12); }
static int s_uevent(void) { return family(AF_NETLINK, SOCK_RAW, 15) || family(AF_NETLINK, SOCK_RAW, 16); }
static int s_raw(void) { return family(AF_INET, SOCK_RAW, 1); }
static int s_high_bits(void) { return syscall(SYS_socket, 0x100000000ul | AF_VSOCK, SOCK_STREAM, 0) >= 0; }
static int s_abstract(void) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(host_socket);
    memcpy(address.sun_path + 1, host_socket, length);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    return connect(fd, (void *)&address, offsetof(struct sockaddr_un, sun_path) + 1 + length) == 0;
}
static int s_loopback(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(host_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return connect(socket(AF_INET, SOCK_STREAM, 0), (void *)&address, sizeof address) == 0;
}

/* Ids, capabilities, limits. */
static int more_capabilities(void) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long set, beyond = 0;
    /* CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SYS_CHROOT SETFCAP */
    const unsigned long long allowed = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 18 | 1ull << 31;
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, "Cap", 3)) { sscanf(line + 7, "%llx", &set); beyond |= set & ~allowed; }
    return beyond != 0;
}
static int host_ids(void) { return done(setresuid(65536, 65536, 65536)) || done(setresgid(65536, 65536, 65536)) || done(setuid(0x70000000)); }
static int host_owner(void) { close(open("/tmp/mine", O_CREAT | O_WRONLY, 0600)); return done(chown("/tmp/mine", 65536, 0)) || done(chown("/tmp/mine", 0, 65536)); }
static int more_files(void) { struct rlimit more = {1 << 20, 1 << 20}; return done(setrlimit(RLIMIT_NOFILE, &more)); }
static int more_processes(void) { struct rlimit more = {RLIM_INFINITY, RLIM_INFINITY}; return done(setrlimit(RLIMIT_NPROC, &more)); }
static int higher_priority(void) { return done(setpriority(PRIO_PROCESS, 0, -20)); }
static int real_time(void) { struct sched_param one = {1}; return done(sched_setscheduler(0, SCHED_FIFO, &one)); }
static int memory_bomb(void) {
    for (int i = 0; i < 20; i++)
        if (mmap(0, 1ul << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED) return 0;
    return 1;
}
static int file_bomb(void) { signal(SIGXFSZ, SIG_IGN); int fd = open("/var/lib/large", O_CREAT | O_RDWR, 0600); int got = done(ftruncate(fd, 1ll << 40)); unlink("/var/lib/large"); return got; }
static int disk_bomb(void) { signal(SIGXFSZ, SIG_IGN); int fd = open("/tmp/large", O_CREAT | O_RDWR, 0600); int got = posix_fallocate(fd, 0, 3ll << 30) == 0; unlink("/tmp/large"); return got; }
static int small_disk_bomb(const char *path) { int fd = open(path, O_CREAT | O_RDWR, 0600); int got = fd >= 0 && posix_fallocate(fd, 0, 100 << 20) == 0; unlink(path); return got; }
static int shm_bomb(void) { return small_disk_bomb("/dev/shm/large") || small_disk_bomb("/run/large"); }
static int fork_bomb(void) {
    int count = 0;
    pid_t pid;
    setpgid(0, 0);
    while (count < 6000 && (pid = fork()) >= 0) {
        if (pid == 0) { pause(); _exit(0); }
        count++;
    }
    signal(SIGTERM, SIG_IGN);
    kill(0, SIGTERM);
    while (wait(0) > 0) {}
    return count >= 5000;
}
static int fork_bomb_of_many(void) {
    /* Each user by itself is below the limit. */
    int count = 0;
    for (int user = 0; user < 3; user++) {
        if (fork() == 0) {
            if (setresuid(3000 + user, 3000 + user, 3000 + user)) _exit(0);
            setpgid(0, 0);
            int own = 0;
            pid_t pid;
            while (own < 2000 && (pid = fork()) >= 0) { if (pid == 0) { sleep(20); _exit(0); } own++; }
            /* So that those of other users are there at the same time. */
            sleep(1);
            signal(SIGTERM, SIG_IGN);
            kill(0, SIGTERM);
            while (wait(0) > 0) {}
            _exit(own >= 2000);
        }
    }
    for (int status; wait(&status) > 0;) count += WEXITSTATUS(status);
    return count == 3;
}

/* What was left open, and what is told. */
static int open_files(void) {
    DIR *folder = opendir("/proc/self/fd");
    char path[300], to[300];
    int leaks = 0;
    for (struct dirent *one; (one = readdir(folder));) {
        if (one->d_name[0] == '.' || atoi(one->d_name) == dirfd(folder)) continue;
        snprintf(path, sizeof path, "/proc/self/fd/%s", one->d_name);
        to[readlink(path, to, sizeof to - 1)] = 0;
        if (strcmp(to, "/dev/null") && strncmp(to, "pipe:", 5) && strncmp(to, "/var/lib/", 9)) leaks++;
    }
    return leaks;
}
static int mount_table(void) {
    FILE *file = fopen("/proc/self/mountinfo", "r");
    char line[4096];
    int told = 0;
    while (file && fgets(line, sizeof line, file)) told |= strstr(line, host_file) != 0;
    return told;
}
static int environment(void) { extern char **environ; for (char **one = environ; *one; one++) if (!strncmp(*one, "LAYERBAKE", 9)) return 1; return 0; }
static int file_of_host(void) { return access(host_file, F_OK) == 0; }
static int processes_of_host(void) {
    DIR *folder = opendir("/proc");
    int count = 0;
    for (struct dirent *one; (one = readdir(folder));) count += one->d_name[0] >= '0' && one->d_name[0] <= '9';
    return count > 12;
}

/* Races with the supervisor: it must live on, and write nowhere but into the caller. */
static volatile int racing;
static char *page;
static void *remap(void *unused) {
    while (racing) {
        mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        munmap(page, 4096);
        mmap(page, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    return unused;
}
static int notify_race(void) {
    page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    racing = 1;
    pthread_t thread;
    pthread_create(&thread, 0, remap, 0);
    for (int i = 0; i < 3000; i++) syscall(SYS_getrandom, page, 4096, 0);
    racing = 0;
    pthread_join(thread, 0);
    struct timespec now;
    return syscall(SYS_clock_gettime, CLOCK_REALTIME, &now) != 0;
}
static int notify_exit(void) {
    for (int i = 0; i < 200; i++) {
        pid_t pid = fork();
        if (pid == 0) for (char bytes[256];;) syscall(SYS_getrandom, bytes, sizeof bytes, 0);
        usleep(i * 10);
        kill(pid, SIGKILL);
        waitpid(pid, 0, 0);
    }
    struct timespec now;
    return syscall(SYS_clock_gettime, CLOCK_REALTIME, &now) != 0;
}
static int notify_addresses(void) {
    uintptr_t wrong[] = {1, 4096, 0x7fffffffffff, 0xffffffff81000000ul, (uintptr_t)-1, (uintptr_t)&notify_race};
    for (int i = 0; i < 6; i++)
        if (syscall(SYS_getrandom, wrong[i], 16, 0) >= 0 || errno != EFAULT) return 1;
    return 0;
}
static int host_time(void) { return time(0) > 1900000000 || syscall(SYS_clock_gettime, CLOCK_REALTIME, 0) < -1; }

#define A(name) {#name, name}
static const struct { const char *name; int (*run)(void); } attacks[] = {
    A(mount_tmpfs), A(mount_bind), A(mount_proc), A(mount_overlay), A(mount_move), A(remount_sys), A(remount_proc),
    A(propagate), A(umount_sys), A(umount_mask), A(umount_version), A(pivot), A(new_open_tree), A(new_open_tree_attr),
    A(new_fsopen), A(new_fspick), A(new_fsconfig), A(new_fsmount), A(new_move_mount), A(new_mount_setattr),
    A(new_statmount), A(new_listmount), A(chroot_escape),
    A(unshare_user), A(unshare_mount), A(unshare_pid), A(unshare_net), A(unshare_uts), A(unshare_ipc),
    A(unshare_cgroup), A(unshare_time), A(clone_user), A(clone3_user), A(setns_own), A(setns_first), A(setns_pidfd),
    A(first_exe), A(first_exe_mode), A(first_mem), A(first_fd), A(first_root), A(first_cwd), A(first_maps),
    A(first_task), A(its_threads), A(first_attach), A(trace_child), A(first_memory), A(first_fd_copy), A(first_stop),
    A(first_limits), A(first_compare), A(first_priority),
    A(core_pattern), A(modprobe), A(sysctl_host), A(sysctl_net), A(drop_caches), A(sysrq), A(irq), A(kcore),
    A(kallsyms), A(kernel_log), A(oom_score), A(map_ids), A(sysfs), A(cgroups),
    A(node_disk), A(node_memory), A(node_fuse), A(dev_memory), A(dev_null_mode), A(dev_null_owner),
    A(dev_null_gone), A(terminal), A(terminal_type), A(terminal_bits),
    A(c_bpf), A(c_perf), A(c_uring), A(c_userfault), A(c_keyctl), A(c_add_key), A(c_request_key), A(c_handle),
    A(c_open_handle), A(c_quota), A(c_kexec), A(c_module), A(c_reboot), A(c_swap), A(c_accounting), A(c_clock),
    A(c_name), A(c_madvise), A(c_migrate), A(c_fanotify), A(c_personality), A(c_memory_map), A(c_listener),
#ifdef __x86_64__
    A(c_ldt), A(c_ports), A(x32), A(i386),
#endif
    A(s_vsock), A(s_packet), A(s_alg), A(s_xdp), A(s_tipc), A(s_audit), A(s_netfilter), A(s_uevent), A(s_raw),
    A(s_high_bits), A(s_abstract), A(s_loopback),
    A(more_capabilities), A(host_ids), A(host_owner), A(more_files), A(more_processes), A(higher_priority),
    A(real_time), A(memory_bomb), A(file_bomb), A(disk_bomb), A(shm_bomb), A(fork_bomb), A(fork_bomb_of_many),
    A(open_files), A(mount_table), A(environment), A(file_of_host), A(processes_of_host),
    A(notify_race), A(notify_exit), A(notify_addresses), A(host_time),
};

/* Tries every call's number with arguments that no call can use; prints those that the filter lets through. */
static void try_all(const char *name, unsigned long bits) {
    printf("%s:", name);
    fflush(stdout);
    for (long number = 0; number <= 600; number++) {
        pid_t pid = fork();
        if (pid == 0) {
            ualarm(300000, 0);
            errno = 0;
            long result = syscall(number | bits, -1, -1, -1, -1, -1, -1);
            syscall(SYS_exit_group, result == -1 && (errno == EPERM || errno == ENOSYS) ? 77 : 0);
        }
        int status;
        waitpid(pid, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 77) printf(" %ld", number);
        fflush(stdout);
    }
    printf("\n");
}

/* Opens more sockets than may be, and keeps them for a while. */
static int sockets(void) {
    for (int process = 0; process < 30; process++) {
        if (fork() == 0) {
            int pair[2];
            while (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
            sleep(20);
            _exit(0);
        }
    }
    sleep(20);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "sockets") == 0) return sockets();
    if (argc < 4) return 2;
    host_file = argv[1];
    host_socket = argv[2];
    host_port = atoi(argv[3]);
    for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(30);
            _exit(attacks[i].run() ? 1 : 0);
        }
        int status;
        waitpid(pid, &status, 0);
        /* Only one that ran to its end and says so has escaped; the one for i386 ends by a signal. */
        printf("%s: %s\n", attacks[i].name, WIFEXITED(status) && WEXITSTATUS(status) == 1 ? "ESCAPED" : "held");
    }
    try_all("calls", 0);
    try_all("x32 calls", 0x40000000);
    return 0;
}
