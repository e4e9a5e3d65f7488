"""The GAN's two steps in PyTorch, for compare_pytorch.py: the same layers, losses and optimiser."""


def gan_step(torch, memory, step, width, batch):
    """A function that runs one step; `step` is critic or generator."""
    from torch import nn
    from torch.nn import functional
    from torch.nn.utils import spectral_norm

    def pixel_norm(x):
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-10)

    class Generator(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(20, 4 * width * 16)
            self.deconv1 = nn.ConvTranspose2d(4 * width, 2 * width, 5)
            self.deconv2 = nn.ConvTranspose2d(2 * width, width, 5)
            self.deconv3 = nn.ConvTranspose2d(width, 1, 8, 2)

        def forward(self, noise, one_hot):
            x = self.linear(torch.cat((noise, one_hot), 1)).view(-1, 4 * width, 4, 4)
            x = self.deconv1(pixel_norm(x.contiguous(memory_format=memory).relu()))[:, :, :7, :7]
            x = self.deconv2(pixel_norm(x.relu()))
            return torch.sigmoid(self.deconv3(pixel_norm(x.relu())))

    class Critic(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = [(1, width), (width, 2 * width), (2 * width, 4 * width)]
            self.convolutions = nn.ModuleList(
                spectral_norm(nn.Conv2d(i, o, 5, 2, 2)) for i, o in sizes)
            self.linear = spectral_norm(nn.Linear(4 * width * 16, 1))
            self.embedding = spectral_norm(nn.Embedding(10, 4 * width * 16))

        def forward(self, x, labels):
            x = x.contiguous(memory_format=memory)
            for convolution in self.convolutions:
                x = convolution(x).relu()
            x = x.flatten(1)
            return self.linear(x) + (self.embedding(labels) * x).sum(1, keepdim=True)

    generator = Generator().to(memory_format=memory)
    critic = Critic().to(memory_format=memory)
    trained = critic if step == "critic" else generator
    optimizer = torch.optim.Adam(trained.parameters(), 1e-4, betas=(0.5, 0.9), foreach=True)
    real, alpha = torch.rand(batch, 1, 28, 28), torch.rand(batch, 1, 1, 1)
    labels = torch.arange(batch) % 10
    one_hot = functional.one_hot(labels, 10).float()
    noise = torch.bernoulli(torch.full((batch, 10), 0.5))
    if step == "generator":
        for parameter in critic.parameters():
            parameter.requires_grad_(False)

    def run_critic():
        with torch.no_grad():
            fake = generator(noise, one_hot)
        optimizer.zero_grad(set_to_none=True)
        on_real = critic(real, labels)
        loss = critic(fake, labels).mean() - on_real.mean() + 1e-3 * on_real.square().mean()
        between = (alpha * real + (1 - alpha) * fake).requires_grad_()
        slope, = torch.autograd.grad(critic(between, labels).sum(), between, create_graph=True)
        loss = loss + 10 * (slope.flatten(1).norm(2, 1) - 1).square().mean()
        loss.backward()
        optimizer.step()

    def run_generator():
        optimizer.zero_grad(set_to_none=True)
        (-critic(generator(noise, one_hot), labels).mean()).backward()
        optimizer.step()

    return run_critic if step == "critic" else run_generator
