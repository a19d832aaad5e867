//! Talks to another implementation: the crate `zeromq`, in both directions and both roles.
//!
//! Nothing has to be set for this: the bytes on the wire are the same.
//!
//! ```text
//! cargo run --example talk_to_zeromq
//! ```

use std::error::Error;

use sinew::{Pull, Push, Rep, Req};
use zeromq::{PullSocket, PushSocket, RepSocket, ReqSocket, Socket, SocketRecv, SocketSend, ZmqMessage};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    push_to_theirs().await?;
    push_to_ours().await?;
    ask_theirs().await?;
    ask_ours().await?;
    Ok(())
}

async fn push_to_theirs() -> Result<(), Box<dyn Error>> {
    let mut theirs = PullSocket::new();
    let endpoint = theirs.bind("tcp://127.0.0.1:0").await?.to_string();
    let ours = Push::new();
    ours.connect(&endpoint).await?;
    ours.send(["two", "frames"]).await?;
    show("sinew Push -> zeromq Pull", &theirs.recv().await?);
    Ok(())
}

async fn push_to_ours() -> Result<(), Box<dyn Error>> {
    let ours = Pull::new();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await?.to_string();
    let mut theirs = PushSocket::new();
    theirs.connect(&endpoint).await?;
    theirs.send(ZmqMessage::from("one frame")).await?;
    println!("zeromq Push -> sinew Pull: {:?}", ours.recv().await?);
    Ok(())
}

async fn ask_theirs() -> Result<(), Box<dyn Error>> {
    let mut theirs = RepSocket::new();
    let endpoint = theirs.bind("tcp://127.0.0.1:0").await?.to_string();
    let ours = Req::new();
    ours.connect(&endpoint).await?;
    let serve = async {
        let request = theirs.recv().await?;
        show("sinew Req -> zeromq Rep", &request);
        theirs.send("an answer from zeromq".into()).await?;
        Ok::<_, Box<dyn Error>>(())
    };
    let ask = async { Ok(ours.request("a question from sinew").await?) };
    let ((), reply) = tokio::try_join!(serve, ask)?;
    println!("zeromq Rep -> sinew Req: {reply:?}");
    Ok(())
}

async fn ask_ours() -> Result<(), Box<dyn Error>> {
    let ours = Rep::new();
    let endpoint = ours.bind("tcp://127.0.0.1:0").await?.to_string();
    let mut theirs = ReqSocket::new();
    theirs.connect(&endpoint).await?;
    theirs.send("a question from zeromq".into()).await?;
    println!("zeromq Req -> sinew Rep: {:?}", ours.recv().await?);
    ours.send("an answer from sinew").await?;
    show("sinew Rep -> zeromq Req", &theirs.recv().await?);
    Ok(())
}

fn show(way: &str, message: &ZmqMessage) {
    println!("{way}: {:?}", message.iter().collect::<Vec<_>>());
}
