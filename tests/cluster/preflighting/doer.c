/* Does what a move minds, each by a word: whatever it opens it keeps open. Says "done" when all of it is done. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int listening(const char *address, int port) {
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, address, &own.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (void *)&own, sizeof own) || listen(fd, 8)) fail("listen");
    return fd;
}

static int connected(const char *address, int port) {
    struct sockaddr_in other = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, address, &other.sin_addr);
    if (connect(fd, (void *)&other, sizeof other)) fail("connect");
    return fd;
}

static void within(void) {
    int fd = listening("127.0.0.1", 7003);
    connected("127.0.0.1", 7003);
    if (accept(fd, NULL, NULL) < 0) fail("accept");
}

static struct sockaddr_un at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return address;
}

static void serve(const char *path) {
    struct sockaddr_un own = at(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    unlink(path);
    if (bind(fd, (void *)&own, sizeof own) || listen(fd, 8)) fail("unix");
    if (accept(fd, NULL, NULL) < 0) fail("accept");
}

static void call(const char *path) {
    struct sockaddr_un other = at(path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    while (connect(fd, (void *)&other, sizeof other)) usleep(100000);
}

/* A semaphore of its own that keeps a number, and a segment that keeps a word. */
static int semaphore, segment;

static void system_v(void) {
    semaphore = semget(IPC_PRIVATE, 1, 0600);
    segment = shmget(IPC_PRIVATE, 4096, 0600);
    if (semaphore < 0 || segment < 0 || semctl(semaphore, 0, SETVAL, 42)) fail("system v");
    strcpy(shmat(segment, NULL, 0), "kept");
}

static void queue(void) {
    if (syscall(SYS_mq_open, "jobs", O_CREAT | O_RDWR, 0600, NULL) < 0) fail("mq_open");
}

static void shared(void) {
    int fd = open("/dev/shm/mine", O_CREAT | O_RDWR, 0600);
    if (ftruncate(fd, 4096)) fail("shm");
    strcpy(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), "shared");
}

static void ring(void) {
    char parameters[120] = {0};
    int fd = syscall(425, 4, parameters);
    printf(fd < 0 ? "no ring: %s\n" : "a ring\n", strerror(errno));
}

int main(int count, char **words) {
    for (int i = 1; i < count; i++) {
        const char *word = words[i];
        if (!strcmp(word, "listen")) listening(words[++i], 7001);
        else if (!strcmp(word, "everywhere")) listening("0.0.0.0", 7002);
        else if (!strcmp(word, "within")) within();
        else if (!strcmp(word, "connect")) connected(words[++i], 7002);
        else if (!strcmp(word, "hold")) { if (open(words[++i], O_RDONLY) < 0) fail("open"); }
        else if (!strcmp(word, "watch")) { if (inotify_add_watch(inotify_init(), words[++i], IN_ALL_EVENTS) < 0) fail("watch"); }
        else if (!strcmp(word, "serve")) serve(words[++i]);
        else if (!strcmp(word, "call")) call(words[++i]);
        else if (!strcmp(word, "system-v")) system_v();
        else if (!strcmp(word, "queue")) queue();
        else if (!strcmp(word, "shared")) shared();
        else if (!strcmp(word, "ring")) ring();
        else return 2;
    }
    puts("done");
    fflush(stdout);
    for (;;) {
        sleep(1);
        if (segment && (semctl(semaphore, 0, GETVAL) != 42)) puts("lost"), fflush(stdout);
    }
}
