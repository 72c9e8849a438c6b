int reset(void);

int reset(void)
{
    return not_declared;
}
