/* A device that speaks the bench's console protocol, and lies on request. One source for both machines:
 * -DMICROBIT (nRF51, Cortex-M0) or -DMPS2_AN385 (CMSDK, Cortex-M3).
 *
 * What it says of itself lies in the flash at IDENTITY, so that a test makes a liar by writing other text there, not by another build:
 *   char identity[256]  the words after "OK id ", NUL-terminated
 *   char mood           'n' normal, 's' silent after the ready line, 'r' refuses to start, 'l' locks up at once, 'q' sends nothing
 */
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define IDENTITY ((const char *)0x2000)
#define MOOD (*(const volatile char *)0x2100)

extern uint32_t stack_top, bss_start, bss_end;

static char line[80];
static int lies;

#if defined(MICROBIT) /* nRF51 Series Reference Manual 3.0, chapter 29 "UART" */
#define UART 0x40002000u
static void uart_start(void) { REG(UART + 0x500) = 4; REG(UART + 0x524) = 0x01D7E000; REG(UART + 0x008) = 1; REG(UART) = 1; }
static void send(char c) { REG(UART + 0x51C) = (uint8_t)c; while (!REG(UART + 0x11C)) {} REG(UART + 0x11C) = 0; }
static char receive(void) { while (!REG(UART + 0x108)) {} REG(UART + 0x108) = 0; return (char)REG(UART + 0x518); }
#elif defined(MPS2_AN385) /* Cortex-M System Design Kit TRM, 4.3 "APB UART" */
#define UART 0x40004000u
static void uart_start(void) { REG(UART + 0x10) = 16; REG(UART + 0x08) = 3; }
static void send(char c) { while (REG(UART + 4) & 1) {} REG(UART) = (uint8_t)c; }
static char receive(void) { while (!(REG(UART + 4) & 2)) {} return (char)REG(UART); }
#else
#error "define MICROBIT or MPS2_AN385"
#endif

static void print(const char *text) { while (*text) send(*text++); }
static void reply(const char *text) { print(text); print("\r\n"); }

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) { a++; b++; }
    return *a == *b;
}

static void lock_up(void)
{
    /* An undefined instruction with the stack outside the RAM: the fault cannot be entered, and neither can the fault of that. */
    __asm__ volatile("movs r0, #0\n mov sp, r0\n udf #0\n");
}

static void read_line(void)
{
    unsigned length = 0;
    for (;;) {
        char c = receive();
        if (c == '\r' || c == '\n') {
            if (length == 0) continue;
            line[length] = 0;
            return;
        }
        if (length < sizeof line - 1) line[length++] = c;
    }
}

static void identify(void)
{
    print("OK id ");
    unsigned zeros = 0;
    for (const char *c = IDENTITY; *c; c++) {
        if (lies && c[-3] == 's' && c[-2] == 't' && c[-1] == '=') zeros = 64; /* the value of digest= */
        send(zeros ? '0' : *c);
        if (zeros) zeros--;
    }
    print("\r\n");
}

int main(void)
{
    REG(0xE000E014) = 16000; REG(0xE000E018) = 0; REG(0xE000E010) = 5; /* SysTick keeps QEMU's main loop awake for input */
    uart_start();
    if (MOOD == 'q') for (;;) {}
    if (MOOD == 'l') lock_up();
    if (MOOD == 'r') { reply("boot: refused bad-digest"); for (;;) {} }
    print("boot: test firmware\r\napp: ready ");
    reply(IDENTITY);
    for (;;) {
        read_line();
        if (MOOD == 's') continue;
        if (same(line, "id")) identify();
        else if (same(line, "status")) reply("OK status state=idle");
        else if (same(line, "event")) reply("event: something\r\nOK event");
        else if (same(line, "wrong")) reply("OK other");
        else if (same(line, "lie")) { lies = 1; reply("OK lie"); }
        else if (same(line, "mute")) for (;;) {}
        else if (same(line, "die")) lock_up();
        else if (same(line, "reset")) { reply("OK reset"); REG(0xE000ED0C) = 0x05FA0004; for (;;) {} }
        else reply("ERR unknown-command");
    }
}

void reset_handler(void)
{
    for (uint32_t *word = &bss_start; word < &bss_end; word++) *word = 0;
    main();
}

static void fault(void) { lock_up(); }

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {&stack_top, reset_handler, fault, fault};
