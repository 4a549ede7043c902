/* Preloaded into CRIU where the machine lacks CAP_SYS_RESOURCE, in the test world only.
 *
 * Without that capability the kernel refuses prlimit(2) on a process of another user, even if it only reads, and CRIU then
 * cannot dump that process. CRIU makes the call through syscall(3), so this file takes syscall's place: everything is passed
 * on to the kernel, and a refused read is answered from /proc/PID/limits. It needs nothing of the C library but errno, so it
 * can be built on one release and used on another.
 */
#define NR_prlimit64_x86_64 302
#define NR_prlimit64_aarch64 261
#define EPERM 1
#define RLIM_INFINITY (~0UL)

struct limit { unsigned long soft, hard; };

extern int *__errno_location(void);

static const char *const names[] = {
	"Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set",
	"Max processes", "Max open files", "Max locked memory", "Max address space", "Max file locks",
	"Max pending signals", "Max msgqueue size", "Max nice priority", "Max realtime priority", "Max realtime timeout",
};

#if defined(__x86_64__)
enum { NR_prlimit64 = NR_prlimit64_x86_64, NR_read = 0, NR_openat = 257, NR_close = 3 };
static long kernel(long n, long a, long b, long c, long d, long e, long f)
{
	long result;
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}
#elif defined(__aarch64__)
enum { NR_prlimit64 = NR_prlimit64_aarch64, NR_read = 63, NR_openat = 56, NR_close = 57 };
static long kernel(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c,
		      x3 __asm__("x3") = d, x4 __asm__("x4") = e, x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}
#else
#error "this architecture's system calls are not written down here"
#endif

static long read_limits(long pid, char *into, long size)
{
	char path[40] = "/proc/", digits[20];
	int at = 6, count = 0, i;
	long file, length = 0, got;

	for (; pid > 0; pid /= 10)
		digits[count++] = '0' + pid % 10;
	while (count > 0)
		path[at++] = digits[--count];
	for (i = 0; i < 8; i++) /* with its final zero */
		path[at++] = "/limits"[i];
	file = kernel(NR_openat, -100 /* AT_FDCWD */, (long)path, 0, 0, 0, 0);
	if (file < 0)
		return file;
	while ((got = kernel(NR_read, file, (long)(into + length), size - 1 - length, 0, 0, 0)) > 0)
		length += got;
	kernel(NR_close, file, 0, 0, 0, 0, 0);
	into[length] = 0;
	return length;
}

static const char *value(const char *text, unsigned long *into)
{
	while (*text == ' ')
		text++;
	if (*text == 'u') { /* unlimited */
		*into = RLIM_INFINITY;
		while (*text >= 'a' && *text <= 'z')
			text++;
		return text;
	}
	for (*into = 0; *text >= '0' && *text <= '9'; text++)
		*into = *into * 10 + (*text - '0');
	return text;
}

/* The text after the limit's name at the start of a line; null without such a line. */
static const char *find(const char *text, const char *name)
{
	while (*text) {
		int i = 0;

		while (name[i] && text[i] == name[i])
			i++;
		if (!name[i])
			return text + i;
		while (*text && *text != '\n')
			text++;
		if (*text)
			text++;
	}
	return 0;
}

static int answer(long pid, long resource, struct limit *into)
{
	char text[4096];
	const char *found;

	if (resource < 0 || resource >= (long)(sizeof(names) / sizeof(names[0])) || read_limits(pid, text, sizeof(text)) <= 0)
		return 0;
	found = find(text, names[resource]);
	if (!found)
		return 0;
	value(value(found, &into->soft), &into->hard);
	return 1;
}

long syscall(long n, long a, long b, long c, long d, long e, long f)
{
	long result = kernel(n, a, b, c, d, e, f);

	if (n == NR_prlimit64 && result == -EPERM && a > 0 && !c && d && answer(a, b, (struct limit *)d))
		return 0;
	if (result < 0 && result > -4096) {
		*__errno_location() = -result;
		return -1;
	}
	return result;
}
