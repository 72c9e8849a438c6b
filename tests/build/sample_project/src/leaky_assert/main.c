/* check.h is included by platformio.ini */
void reset(void)
{
    check();
}
